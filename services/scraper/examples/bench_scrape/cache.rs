//! The bookmakers behind a cache: a page is made once, and from then on answered from memory.

use bytes::Bytes;
use oddswire_demo_site::DemoOptions;
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

type Pages = Arc<Mutex<HashMap<(String, String), Bytes>>>;

/// Serves for ever, on all addresses of this machine.
pub(crate) async fn serve(events: u32, port: u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let demo = format!("http://{}", listener.local_addr().unwrap());
    let options = DemoOptions {
        events,
        speed: 0.0,
        ..DemoOptions::default()
    };
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        oddswire_demo_site::run(options, listener, CancellationToken::new())
            .await
            .unwrap();
    });
    let pages = Pages::default();
    let listener = TcpListener::bind(("0.0.0.0", port)).await.unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let (pages, demo) = (Arc::clone(&pages), demo.clone());
        serving.spawn(async move {
            // A client that went away needs no answer.
            let _ = answer(stream, &pages, &demo).await;
        });
    }
}

async fn answer(stream: TcpStream, pages: &Pages, demo: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if stream.read_line(&mut first).await? == 0 {
            return Ok(());
        }
        let mut length = 0;
        let mut line = String::new();
        while stream.read_line(&mut line).await? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            line.clear();
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let key = (first, String::from_utf8_lossy(&body).into_owned());
        let known = pages.lock().unwrap().get(&key).cloned();
        let page = if let Some(page) = known {
            page
        } else {
            let page = made(&key.0, body, demo).await;
            pages.lock().unwrap().insert(key, page.clone());
            page
        };
        stream.write_all(&page).await?;
    }
}

/// The whole answer, as it goes over the wire.
async fn made(first: &str, body: Vec<u8>, demo: &str) -> Bytes {
    let path = first.split(' ').nth(1).unwrap_or("/");
    let client = reqwest::Client::new();
    let request = if first.starts_with("POST") {
        client.post(format!("{demo}{path}")).body(body)
    } else {
        client.get(format!("{demo}{path}"))
    };
    let answer = request.send().await.unwrap();
    let content_type = answer.headers().get("content-type").cloned();
    let content_type = content_type.and_then(|value| value.to_str().ok().map(str::to_owned));
    let status = answer.status();
    let body = answer.bytes().await.unwrap();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n",
        content_type.unwrap_or_default(),
        body.len()
    );
    [head.as_bytes(), &body].concat().into()
}
