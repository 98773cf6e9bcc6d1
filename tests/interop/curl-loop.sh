#!/bin/sh
# curl that comes back with the last cursor: `curl-loop.sh ADDRESS`. Prints the lines `data:` of the stream.
position=$(mktemp)
trap 'rm -f "$position"' EXIT
while :; do
  curl -sN -H "Last-Event-ID: $(cat "$position")" "$1" | while IFS= read -r line; do
    case $line in
      id:*) id=${line#id: } ;;
      data:*) echo "$line" ;;
      '') [ -z "$id" ] || echo "$id" >"$position" ;;
    esac
  done
  sleep 1
done
