//! Asking a node to stop, from anywhere, once.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A request to stop that everybody can make and everybody can wait for.
#[derive(Clone, Debug)]
pub struct Shutdown {
    requested: Arc<watch::Sender<bool>>,
    failure: Arc<OnceLock<String>>,
}

impl Shutdown {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self { requested: Arc::new(watch::Sender::new(false)), failure: Arc::default() }
    }

    /// Asks to stop.
    pub fn request(&self) {
        self.requested.send_replace(true);
    }

    /// Asks to stop because something of ours failed. The first reason is kept.
    pub fn fail(&self, reason: impl Into<String>) {
        let _ = self.failure.set(reason.into());
        self.request();
    }

    /// Whether somebody has asked.
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Why the node has to stop, when a failure is the reason.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Resolves when somebody asks.
    pub async fn requested(&self) {
        // The sender lives as long as `self`: waiting cannot fail.
        let _ = self.requested.subscribe().wait_for(|requested| *requested).await;
    }

    /// Also asks to stop when the process is told to: Ctrl-C, and SIGTERM where there is one. Needs a running runtime.
    ///
    /// # Errors
    /// When the system does not let us listen to signals.
    pub fn listen_to_signals(&self) -> std::io::Result<()> {
        let shutdown = self.clone();
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            tokio::spawn(async move {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
                shutdown.request();
            });
        }
        #[cfg(not(unix))]
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                shutdown.request();
            }
        });
        Ok(())
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// How long work nobody waits for any more, such as a look at all coins for an RPC call that was cut off, may hold up the end.
const LINGER: Duration = Duration::from_secs(1);

/// Runs a node's whole life on a runtime. Unlike dropping the runtime, the end does not wait for threads that are busy.
pub fn run_to_end<T>(runtime: Runtime, life: impl Future<Output = T>) -> T {
    let end = runtime.block_on(life);
    runtime.shutdown_timeout(LINGER);
    end
}

/// A part that panics must not leave a node that looks alive: while the thread unwinds, it stops the node.
pub(crate) struct PanicGuard {
    shutdown: Shutdown,
    part: &'static str,
}

impl PanicGuard {
    /// Watches over the rest of the scope, which runs `part`.
    pub(crate) fn new(shutdown: &Shutdown, part: &'static str) -> Self {
        Self { shutdown: shutdown.clone(), part }
    }
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let part = self.part;
            self.shutdown
                .fail(format!("{part} panicked; this is a bug, please report it with the lines above"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_busy_thread_does_not_hold_up_the_end() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let before = Instant::now();
        let said = run_to_end(runtime, async {
            tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_mins(1)));
            tokio::time::sleep(Duration::from_millis(50)).await;
            "done"
        });
        assert_eq!(said, "done");
        assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    }
}
