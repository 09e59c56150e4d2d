//! The driver's own thread: the only place where a driver is touched.
//!
//! ```text
//!   peers, RPC, engine ──┐
//!   workers (results) ───┴─► inbox ─► this thread ─► Driver::handle(message, clock.now())
//! ```
//!
//! Invariant: after a fault of the disk nothing more is handled and the node is asked to stop.

use std::sync::Arc;
use std::thread::JoinHandle;

use chainwright_chain::{
    ChainHandle, Clock, Command, Consensus, Driver, Fault, Inbox, Ledger, Limits, Message, Parts, Published,
    Reply, Store, Workers,
};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::shutdown::{PanicGuard, Shutdown};

/// What reaches the thread.
enum Letter<L: Ledger> {
    Message(Message<L>),
    /// Handled after everything that was sent before it.
    Stop,
}

/// What a chain is made of, before it runs.
pub struct ChainParts<L: Ledger> {
    /// The ledger.
    pub ledger: Arc<L>,
    /// The engine.
    pub consensus: Arc<dyn Consensus<L>>,
    /// The disk.
    pub store: Box<dyn Store>,
    /// Where work runs.
    pub workers: Arc<dyn Workers>,
    /// The node's time.
    pub clock: Arc<dyn Clock>,
    /// How much is kept in flight.
    pub limits: Limits,
}

/// A running driver.
pub struct EngineRoom<L: Ledger> {
    letters: Sender<Letter<L>>,
    chain: ChainHandle<L>,
    thread: Option<JoinHandle<()>>,
}

impl<L: Ledger> EngineRoom<L> {
    /// Opens the chain and starts to serve it.
    ///
    /// # Errors
    /// What [`Driver::open`] says, or the system gives no thread.
    pub fn start(parts: ChainParts<L>, shutdown: &Shutdown) -> Result<Self, Fault> {
        let (letters, inbox) = unbounded();
        let (opened, answer) = bounded(1);
        let (sender, clock, shutdown) = (letters.clone(), parts.clock.clone(), shutdown.clone());
        let to_driver: Inbox<L> = Arc::new(move |message| {
            // After the driver has stopped nobody reads: replies are dropped, which tells whoever waits.
            let _ = sender.send(Letter::Message(message));
        });
        let to_chain = to_driver.clone();
        let run = move || {
            let clock = parts.clock.clone();
            match open(parts, to_driver) {
                Ok(driver) => {
                    // `start` waits for exactly this answer.
                    let _ = opened.send(Ok(driver.published()));
                    serve(driver, &inbox, &*clock, &shutdown);
                }
                Err(fault) => drop(opened.send(Err(fault))),
            }
        };
        let thread = std::thread::Builder::new().name("driver".to_owned()).spawn(run)?;
        let died = |_| Fault::new("the driver's thread panicked while opening the chain");
        let published = answer.recv().map_err(died)??;
        let chain = ChainHandle::new(to_chain, published, clock);
        Ok(Self { letters, chain, thread: Some(thread) })
    }

    /// The chain, for asking and reading.
    pub fn chain(&self) -> &ChainHandle<L> {
        &self.chain
    }

    /// Handles what was sent so far, writes everything down and ends the thread.
    pub fn stop(&mut self) {
        let _ = self.letters.send(Letter::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl<L: Ledger> Drop for EngineRoom<L> {
    fn drop(&mut self) {
        self.stop();
    }
}

fn open<L: Ledger>(parts: ChainParts<L>, inbox: Inbox<L>) -> Result<Driver<L>, Fault> {
    let ChainParts { ledger, consensus, store, workers, clock, limits } = parts;
    Driver::open(Parts { ledger, consensus, store, workers, inbox, limits }, clock.now())
}

fn serve<L: Ledger>(
    mut driver: Driver<L>,
    inbox: &Receiver<Letter<L>>,
    clock: &dyn Clock,
    shutdown: &Shutdown,
) {
    let published = driver.published();
    let _guard = PanicGuard::new(shutdown, "the driver");
    for letter in inbox {
        match letter {
            Letter::Message(message) => driver.handle(message, clock.now()),
            Letter::Stop => break,
        }
        if stopped_by_fault(&published, shutdown) {
            return;
        }
    }
    let (sender, mut reply) = Reply::new();
    driver.handle(Message::Command(Command::Sync(sender)), clock.now());
    if let Some(Err(fault)) = reply.take() {
        shutdown.fail(fault.to_string());
    }
    stopped_by_fault(&published, shutdown);
}

fn stopped_by_fault<L: Ledger>(published: &Published<L>, shutdown: &Shutdown) -> bool {
    published.fault().is_some_and(|fault| {
        shutdown.fail(fault.to_string());
        true
    })
}
