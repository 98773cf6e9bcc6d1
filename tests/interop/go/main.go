// r3labs/sse with its defaults: `go run . ADDRESS QUERY`. Prints `seq N` for each event of a run.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/r3labs/sse/v2"
)

func main() {
	client := sse.NewClient(os.Args[1] + "api/events?" + os.Args[2])
	err := client.SubscribeRaw(func(event *sse.Event) {
		if string(event.Event) != "scrape_progress" {
			return
		}
		var message struct{ Data struct{ Seq int } }
		if json.Unmarshal(event.Data, &message) == nil {
			fmt.Println("seq", message.Data.Seq)
		}
	})
	fmt.Fprintln(os.Stderr, err)
}
