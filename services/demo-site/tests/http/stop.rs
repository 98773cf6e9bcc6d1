//! The site ends soon after its stop, whatever is in flight.

use oddswire_demo_site::{DemoOptions, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::site::Site;

#[tokio::test]
async fn an_idle_site_stops() {
    let mut site = Site::paused().await;
    site.get("/robots.txt").await;
    site.ended().await.unwrap();
}

#[tokio::test]
async fn a_slow_fault_in_flight_does_not_delay_the_stop() {
    let mut site = Site::paused().await;
    site.set_fault("alpha", r#"{"kind":"latency","ms":600000}"#).await;
    let (client, url) = (site.client.clone(), format!("{}/alpha/api/leagues", site.base));
    let slow = async move { client.get(url).send().await.unwrap().status() };
    let stop = async {
        while site.json("/__demo/requests").await["books"]["alpha"]["faulted"] == 0 {}
        site.ended().await.unwrap();
    };
    let (status, ()) = tokio::join!(slow, stop);
    assert_eq!(status, 503);
}

#[tokio::test]
async fn a_silent_client_is_cut_after_the_grace() {
    let mut site = Site::paused().await;
    let mut client = TcpStream::connect(site.base.trim_start_matches("http://"))
        .await
        .unwrap();
    client
        .write_all(b"GET /robots.txt HTTP/1.1\r\nhost: demo\r\n")
        .await
        .unwrap();
    site.get("/robots.txt").await;
    site.ended().await.unwrap();
    let mut rest = Vec::new();
    // Either kind of end will do: what matters is that the connection does not stay open.
    let _ = client.read_to_end(&mut rest).await;
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1"));
}

#[tokio::test]
async fn a_speed_out_of_range_is_an_error() {
    let mut site = Site::start(DemoOptions {
        speed: f64::NAN,
        ..DemoOptions::default()
    })
    .await;
    assert!(matches!(site.ended().await, Err(Error::Options(_))));
}

#[tokio::test]
async fn connections_that_ask_half_a_question_make_room_for_those_that_ask() {
    let site = Site::start(DemoOptions::default()).await;
    let address = site.base.trim_start_matches("http://");
    let mut halves = Vec::new();
    for _ in 0..300 {
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET /robots.txt HTTP/1.1\r\n").await.unwrap();
        halves.push(half);
    }
    site.get("/robots.txt").await;
    // 300 and one are more than 256: the oldest are cut off, and the youngest are not.
    let mut rest = Vec::new();
    let _ = halves[0].read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    halves[299]
        .write_all(b"host: demo\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    halves[299].read_to_end(&mut rest).await.unwrap();
    assert!(rest.starts_with(b"HTTP/1.1 200"));
}
