//! A server that takes requests: how it does, and how it is stopped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::part::Part;
use crate::gateway::Ready;
use crate::keys::IssuedKey;

/// How often it is looked whether all is well.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A server that takes requests.
pub(in crate::cli) struct Running {
    pub(super) address: SocketAddr,
    /// Reads the certificate anew when told, where there is one.
    pub(super) reloading: Option<JoinHandle<()>>,
    pub(super) first_key: Option<IssuedKey>,
    pub(super) stop_listening: oneshot::Sender<()>,
    pub(super) listening: JoinHandle<usize>,
    /// In the order in which they are stopped.
    pub(super) parts: Vec<Box<dyn Part>>,
}

/// Tells whether all parts can do their work, or what the first that cannot waits for.
pub(super) fn all_ready(parts: &[Box<dyn Part>]) -> Ready {
    let each: Vec<Ready> = parts.iter().map(|part| part.ready()).collect();
    Arc::new(move || each.iter().try_for_each(|ready| ready()))
}

impl Running {
    /// Gives the address that it listens on.
    pub(in crate::cli) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives the key that was made because there was none.
    pub(super) const fn first_key(&self) -> Option<&IssuedKey> {
        self.first_key.as_ref()
    }

    /// Gives its address as callers name it.
    pub(super) fn url(&self) -> String {
        let scheme = if self.reloading.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    pub(super) async fn become_ready(&self, ready: &Ready) -> anyhow::Result<()> {
        while ready().is_err() {
            if let Some(failure) = self.look() {
                return Err(failure);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Waits until something has failed for good, and says what.
    pub(in crate::cli) async fn failure(&self) -> anyhow::Error {
        loop {
            if let Some(failure) = self.look() {
                return failure;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn look(&self) -> Option<anyhow::Error> {
        self.parts.iter().find_map(|part| part.failure())
    }

    /// Stops: nothing new is let in, what was let in is answered, then the parts are taken down.
    ///
    /// # Errors
    /// When something did not end well.
    pub(in crate::cli) async fn stop(self) -> anyhow::Result<()> {
        let Self { stop_listening, listening, parts, reloading, .. } = self;
        if let Some(reloading) = reloading {
            reloading.abort();
        }
        // The listener may have ended by itself: then there is nobody to tell.
        let _ = stop_listening.send(());
        let cut = listening.await.context("the listener ended in a fault")?;
        let stopping = tokio::task::spawn_blocking(move || {
            for part in parts {
                part.stop();
            }
        });
        stopping.await.context("a part ended in a fault")?;
        if cut > 0 {
            tracing::warn!(connections = cut, "connections were cut");
        }
        Ok(())
    }
}
