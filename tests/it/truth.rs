//! The pair, end to end: bookmakers' pages over HTTP, the scraper, NATS, gateways, clients; and the truth to compare.
