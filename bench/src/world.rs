//! NATS with the product's streams, in memory and on the load generator's core.

use crate::{host, launch, nats::Nats};
use anyhow::{Context, Result};
use oddswire_kit::{
    bus::{Bus, BusOptions},
    nats_server::NatsServer,
    provision::provision,
    tls,
};
use oddswire_protocol::{
    Feed, Subjects,
    stream::{Sizing, StreamNames, jobs_consumer, streams},
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// A NATS server of the bench's own. It dies with this value.
#[derive(Debug)]
pub(crate) struct World {
    server: NatsServer,
    store: TempDir,
    _runtime: Runtime,
}

/// Where odds come by live.
pub(crate) fn live_odds() -> String {
    Subjects::default().live_all(Feed::Odds)
}

impl World {
    /// Starts it. To be called on the main thread: the server dies with the thread that starts it.
    pub(crate) fn start() -> Result<Self> {
        tls::install_provider();
        let store = host::store_folder()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let launcher = launch::launcher(host::LOAD_CORE)?;
        let server = runtime.block_on(NatsServer::start_under(&launcher, store.path()))?;
        let url = server.url();
        runtime
            .block_on(async {
                let options = BusOptions::at(&url);
                let bus = Bus::connect(&options, "bench", "bench").await?;
                let mut specs = streams(bus.subjects(), &Sizing::DEV);
                // Nothing depends on it, and every odds message would be stored twice.
                specs.retain(|spec| spec.name != StreamNames::of(bus.subjects()).history);
                let consumer = jobs_consumer(bus.subjects(), &Sizing::DEV);
                provision(&bus, &specs, &consumer, true).await?;
                anyhow::Ok(())
            })
            .context("make the streams")?;
        Ok(Self {
            server,
            store,
            _runtime: runtime,
        })
    }

    /// The server's port.
    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// The server's process; 0 when it has ended.
    pub(crate) fn pid(&self) -> u32 {
        self.server.pid().unwrap_or(0)
    }

    /// The folder for logs.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.store.path()
    }

    /// A connection that publishes, and sees every read of the log that anybody asks for.
    pub(crate) fn connect(&self) -> Result<Nats> {
        Nats::connect(self.port(), &["$JS.API.DIRECT.GET.>", "$JS.API.STREAM.MSG.GET.>"])
    }
}
