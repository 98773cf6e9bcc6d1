//! TLS of the client port, by rustls. A certificate that is renewed on disk is used without anybody having to say so.

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::interval,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

/// Where certificate and key are.
#[derive(Debug, Clone)]
pub(super) struct TlsFiles {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

/// Why they cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("{what} {}: {source}", file.display())]
    Read {
        /// The option.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// They do not belong together, or are of a kind that is not supported.
    #[error("--tls-cert and --tls-key: {0}")]
    Use(#[from] rustls::Error),
}

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// What a client may be told to come back with, for TLS 1.3: tickets that hold no state here.
const TICKETS: usize = 1;

/// The certificate in use.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    pub(super) fn new(files: TlsFiles) -> Result<Self, TlsError> {
        let config = RwLock::new(load(&files)?);
        Ok(Self { files, config })
    }

    /// Greets a client.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> std::io::Result<TlsStream<S>> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }

    /// Reads the files again whenever they have changed, until `stop`. What cannot be used is told once, and changes
    /// nothing.
    pub(super) async fn keep_fresh(&self, stop: CancellationToken) {
        let mut known = self.contents().await;
        let mut looks = interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = stop.cancelled() => return,
            }
            let now = self.contents().await;
            if now == known {
                continue;
            }
            known = now;
            match load(&self.files) {
                Ok(config) => {
                    *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
                    tracing::info!(file = %self.files.cert.display(), "new certificate");
                }
                Err(error) => tracing::error!(%error, "the certificate stays as it was"),
            }
        }
    }

    async fn contents(&self) -> [Option<Vec<u8>>; 2] {
        let read = async |file: &Path| tokio::fs::read(file).await.ok();
        [read(&self.files.cert).await, read(&self.files.key).await]
    }
}

fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let wrong = |what, file: &Path| {
        let file = file.to_owned();
        move |source| TlsError::Read { what, file, source }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(wrong("--tls-cert", &files.cert))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(wrong("--tls-key", &files.key))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.send_tls13_tickets = TICKETS;
    Ok(Arc::new(config))
}
