//! Tickets: once, at any replica, for a short time.

use super::{attacks::refused_ws, claims, on, refusal, sign, token};
use crate::harness::{Ended, Gateway, World, Ws, until};
use oddswire_protocol::{envelope::MessageType, server::ConnectionAck};

async fn by_ticket(gateway: &Gateway, ticket: &str) -> reqwest::Response {
    let request = reqwest::Client::new().get(gateway.url(&format!("/api/events?ticket={ticket}")));
    gateway.send(request).await
}

#[tokio::test]
async fn a_ticket_opens_one_stream_at_another_replica_with_what_its_owner_may() {
    let world = World::new().await;
    let (one, two) = (world.guarded().await, world.guarded().await);
    let token = token(&["odds_updates.soccer"], "");
    let ticket = one.ticket(&token).await;
    let mut client = two.ws(&format!("ticket={ticket}")).await;
    let ack: ConnectionAck = client.next_of(MessageType::ConnectionAck).await.data().unwrap();
    assert_eq!(ack.topics, ["odds_updates.soccer"]);
    let (status, code, challenge) = refusal(by_ticket(&one, &ticket).await).await;
    assert_eq!((status, code.as_str()), (401, "ticket_invalid"));
    assert!(challenge.starts_with("Bearer"), "{challenge}");
    assert_eq!(
        refused_ws(&two, &format!("ticket={ticket}")).await,
        ("ticket_invalid".into(), Ended::Code(4401))
    );
}

#[tokio::test]
async fn of_two_replicas_at_once_one_takes_a_ticket() {
    let world = World::new().await;
    let (one, two) = (world.guarded().await, world.guarded().await);
    let token = token(&["odds_updates"], "");
    for _ in 0..20 {
        let ticket = one.ticket(&token).await;
        let gateways = [&one, &two, &one, &two];
        let all = gateways.map(|gateway| by_ticket(gateway, &ticket));
        let answers = futures_util::future::join_all(all).await;
        let mut let_in: Vec<u16> = answers.iter().map(|answer| answer.status().as_u16()).collect();
        let_in.sort_unstable();
        assert_eq!(let_in, [200, 401, 401, 401]);
    }
}

#[tokio::test]
async fn a_ticket_is_good_for_its_seconds_alone() {
    let world = World::new().await;
    let gateway = world
        .gateway_with(|options| {
            on(options);
            options.auth.auth_ticket_s = 1;
        })
        .await;
    let ticket = gateway.ticket(&token(&["odds_updates"], "")).await;
    let given_at = tokio::time::Instant::now();
    until("the ticket to lose its force", async || {
        given_at.elapsed().as_millis() > 1_050
    })
    .await;
    let (status, code, _) = refusal(by_ticket(&gateway, &ticket).await).await;
    assert_eq!((status, code.as_str()), (401, "ticket_invalid"));
    for never_given in ["", "x", &"A".repeat(43), "*", ">", "a.b"] {
        let (status, code, _) = refusal(by_ticket(&gateway, never_given).await).await;
        assert_eq!((status, code.as_str()), (401, "ticket_invalid"), "{never_given}");
    }
}

#[tokio::test]
async fn a_stream_by_ticket_ends_with_the_token() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    let token = sign(&claims("ann", &["odds_updates"], "", 3));
    let ticket = gateway.ticket(&token).await;
    let client = gateway.ws(&format!("ticket={ticket}")).await;
    assert_eq!(client.ended().await, Ended::Code(4401));
}

#[tokio::test]
async fn a_ticket_needs_a_token_and_is_no_token() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    let request = reqwest::Client::new().post(gateway.url("/api/tickets"));
    let (status, code, _) = refusal(gateway.send(request).await).await;
    assert_eq!((status, code.as_str()), (401, "token_missing"));
    let ticket = gateway.ticket(&token(&["odds_updates"], "read")).await;
    let path = format!("/api/odds?ticket={ticket}");
    let (status, code, _) = refusal(gateway.send(reqwest::Client::new().get(gateway.url(&path))).await).await;
    assert_eq!(
        (status, code.as_str()),
        (401, "token_missing"),
        "REST takes no tickets"
    );
    // Nor is a ticket to be had for one.
    let (status, _, _) = refusal(gateway.post_by("/api/tickets", &ticket).await).await;
    assert_eq!(status, 401);
    let open = world.gateway().await;
    let (status, code, _) = refusal(
        open.send(reqwest::Client::new().post(open.url("/api/tickets")))
            .await,
    )
    .await;
    assert_eq!((status, code.as_str()), (404, "auth_disabled"));
}

#[tokio::test]
async fn what_stands_on_the_bus_opens_nothing() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    let ticket = gateway.ticket(&token(&["odds_updates"], "")).await;
    let mut client: Ws = gateway.ws(&format!("ticket={ticket}")).await;
    client.next_of(MessageType::CaughtUp).await;
    let stored = world.bus.kv_list("ticket").await.unwrap();
    let [(key, value)] = &stored[..] else {
        panic!("one ticket was used: {stored:?}")
    };
    assert!(!ticket.contains(key) && value.is_empty());
    let (status, _, _) = refusal(by_ticket(&gateway, key).await).await;
    assert_eq!(status, 401);
    // Nor does what somebody puts there who can write to the bus.
    let never_given = "A".repeat(ticket.len());
    let stop = tokio_util::sync::CancellationToken::new();
    for key in [
        format!("ticket.{never_given}"),
        format!("ticket.{}", "41".repeat(16)),
    ] {
        world.bus.kv_put(&key, "{}".into(), None, &stop).await.unwrap();
    }
    let (status, code, _) = refusal(by_ticket(&gateway, &never_given).await).await;
    assert_eq!((status, code.as_str()), (401, "ticket_invalid"));
}

#[tokio::test]
async fn tickets_that_nobody_uses_cost_the_bus_nothing() {
    let world = World::new().await;
    let gateway = world.guarded().await;
    let wide: Vec<String> = (0..74)
        .map(|n| format!("scrape_progress.{}{n:03}", "s".repeat(50)))
        .collect();
    let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
    let token = token(&wide, "");
    let mut last = String::new();
    for _ in 0..20 {
        last = gateway.ticket(&token).await;
    }
    let stream = world.bus.names().gateway_stream();
    assert_eq!(world.bus.stream_state(&stream).await.unwrap().last_seq, 0);
    // The largest ticket is a good one.
    assert_eq!(by_ticket(&gateway, &last).await.status(), 200);
    assert_eq!(world.bus.stream_state(&stream).await.unwrap().last_seq, 1);
}
