//! A way to the bus that loses the bus's answers on demand: what is sent arrives, what comes back does not.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// Which answers are lost.
#[derive(Clone, Copy, PartialEq)]
enum Losing {
    None,
    /// All, once one came that holds this text.
    From(&'static str),
    /// All, once something was sent that holds this text.
    To(&'static str),
    All,
}

/// The way. It is gone with this value.
pub(crate) struct Proxy {
    pub(crate) url: String,
    losing: watch::Sender<Losing>,
    cuts: watch::Sender<u64>,
    _serving: JoinSet<()>,
}

impl Proxy {
    /// Leads to the server at `url`.
    pub(crate) async fn start(url: &str) -> Self {
        let target = url.trim_start_matches("nats://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let (losing, cuts) = (watch::Sender::new(Losing::None), watch::Sender::new(0));
        let (lost, cut) = (losing.clone(), cuts.subscribe());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(lead(client, target.clone(), lost.clone(), cut.clone()));
            }
        });
        Self {
            url,
            losing,
            cuts,
            _serving: serving,
        }
    }

    /// Answers are lost from the first one on that holds `text`.
    pub(crate) fn lose_answers_from(&self, text: &'static str) {
        self.losing.send_replace(Losing::From(text));
    }

    /// Answers are lost from the first one on to what holds `text`, which arrives.
    pub(crate) fn lose_answers_to(&self, text: &'static str) {
        self.losing.send_replace(Losing::To(text));
    }

    /// Waits until the first one is lost.
    pub(crate) async fn lost(&self) {
        let mut losing = self.losing.subscribe();
        losing.wait_for(|losing| *losing == Losing::All).await.unwrap();
    }

    /// Cuts all connections, and loses nothing more on the next ones.
    pub(crate) fn heal(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
        self.losing.send_replace(Losing::None);
    }
}

async fn lead(
    client: TcpStream,
    target: String,
    losing: watch::Sender<Losing>,
    mut cut: watch::Receiver<u64>,
) {
    cut.mark_unchanged();
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = questions(from_client, to_server, &losing) => {}
        () = answers(from_server, to_client, &losing) => {}
        _ = cut.changed() => {}
    }
}

async fn questions(mut client: OwnedReadHalf, mut server: OwnedWriteHalf, losing: &watch::Sender<Losing>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = client.read(&mut bytes).await {
        let question = &bytes[..count];
        let now = *losing.borrow();
        if let Losing::To(text) = now
            && String::from_utf8_lossy(question).contains(text)
        {
            losing.send_replace(Losing::All);
        }
        if server.write_all(question).await.is_err() {
            return;
        }
    }
}

async fn answers(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, losing: &watch::Sender<Losing>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = server.read(&mut bytes).await {
        let answer = &bytes[..count];
        let now = *losing.borrow();
        if let Losing::From(text) = now
            && String::from_utf8_lossy(answer).contains(text)
        {
            losing.send_replace(Losing::All);
        }
        if *losing.borrow() != Losing::All && client.write_all(answer).await.is_err() {
            return;
        }
    }
}
