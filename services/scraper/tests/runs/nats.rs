//! A NATS server of one test's own: on a free port, with a store that survives a kill, gone with the test.

use oddswire_kit::nats_server::NatsServer;
use tempfile::TempDir;

/// A running server, or a killed one.
pub(crate) struct Nats {
    dir: TempDir,
    port: u16,
    server: Option<NatsServer>,
}

impl Nats {
    /// Starts a server.
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = NatsServer::start(dir.path(), None).await.unwrap();
        Self {
            dir,
            port: server.port(),
            server: Some(server),
        }
    }

    /// The address of the server, the same after it was killed and started again.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills the server as a crash does: nothing is written down.
    pub(crate) async fn kill(&mut self) {
        self.server.take().expect("it runs").kill().await;
    }

    /// Starts the server that was killed, with what it had stored.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs already");
        self.server = Some(NatsServer::start(self.dir.path(), Some(self.port)).await.unwrap());
    }
}
