//! TLS of a server by its settings: a certificate and its key, each in a file, read anew on SIGHUP.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::exit::Usage;
use crate::gateway::Tls;

/// Options of TLS.
#[derive(Debug, Clone, Args)]
pub(super) struct TlsOptions {
    /// Certificate to be served with, in PEM, then those that vouch for it; read anew on SIGHUP
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

/// Where a certificate and its key are.
#[derive(Debug, Clone)]
pub(super) struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
}

impl TlsOptions {
    /// Gives both files; nothing when neither is named.
    ///
    /// # Errors
    /// [`Usage`] when one is named without the other.
    pub(super) fn files(&self) -> anyhow::Result<Option<TlsFiles>> {
        match (&self.tls_cert, &self.tls_key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                Ok(Some(TlsFiles { certificate: certificate.clone(), key: key.clone() }))
            }
            (Some(_), None) => Err(Usage("--tls-cert needs --tls-key".into()).into()),
            (None, Some(_)) => Err(Usage("--tls-key needs --tls-cert".into()).into()),
        }
    }
}

impl TlsFiles {
    /// Reads both.
    ///
    /// # Errors
    /// When one cannot be read, or they cannot be used.
    pub(super) fn load(&self) -> anyhow::Result<Arc<Tls>> {
        let (certificate, key) = self.read()?;
        Ok(Arc::new(Tls::new(&certificate, &key).with_context(|| self.told())?))
    }

    fn reload(&self, tls: &Tls) -> anyhow::Result<()> {
        let (certificate, key) = self.read()?;
        tls.replace(&certificate, &key).with_context(|| self.told())
    }

    fn read(&self) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
        let read = |path: &Path| {
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
        };
        Ok((read(&self.certificate)?, read(&self.key)?))
    }

    fn told(&self) -> String {
        format!("cannot serve with {} and {}", self.certificate.display(), self.key.display())
    }
}

/// Reads the files anew whenever the process gets SIGHUP, until the task is aborted. What cannot be used
/// is told, and the old pair stays.
///
/// # Errors
/// When the system does not tell of signals.
pub(super) fn reload_on_hangup(files: TlsFiles, tls: Arc<Tls>) -> anyhow::Result<JoinHandle<()>> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen to signals")?;
    Ok(tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match files.reload(&tls) {
                Ok(()) => tracing::info!("new connections are served with the certificate of now"),
                Err(error) => tracing::error!("the certificate stays as it was: {error:#}"),
            }
        }
    }))
}
