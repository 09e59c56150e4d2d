//! Asking the driver for something, from any thread.
//!
//! Every call sends one command and returns a [`Reply`], which is a future and can also be waited for; dropping it is
//! harmless. Reading needs no command: see [`Published`].

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_channel::oneshot;

use crate::{
    Admission, Amendment, Attributes, BlockId, BoxFuture, Delta, Executed, Fault, Ledger, Message, Proof,
    Published, Refusal, Reject, Timestamp, View,
};

/// An answer that will come.
pub struct Reply<T>(oneshot::Receiver<T>);

impl<T> Reply<T> {
    /// A reply and the place to answer it.
    pub fn new() -> (oneshot::Sender<T>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }

    /// Blocks the thread until the answer is there. Never call it on the driver's own thread.
    ///
    /// # Errors
    /// A [`Fault`] when the chain stopped before answering.
    pub fn wait(self) -> Result<T, Fault> {
        futures_executor::block_on(self)
    }

    /// The answer, if it is there already.
    pub fn take(&mut self) -> Option<T> {
        self.0.try_recv().ok().flatten()
    }
}

impl<T> Future for Reply<T> {
    type Output = Result<T, Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(|_| Fault::new("the chain has stopped"))
    }
}

/// What became of headers that were handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadersImported {
    /// How many were not known before.
    pub fresh: usize,
    /// The last one that is known now.
    pub last: BlockId,
}

/// What became of a block that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// Executed, all checks passed; published if its branch leads.
    Valid,
    /// Stored on a branch that does not lead; not executed.
    Stored,
    /// Nothing new.
    Known,
}

/// A block that could be next, not sealed yet.
pub struct Candidate<L: Ledger> {
    /// The block.
    pub block: L::Block,
    /// What executing it gave; hand it back with the sealed block and nothing is executed twice.
    pub executed: Executed<L>,
}

/// Runs on the driver's thread, with the pool in its hands.
pub type PoolChange<L> = Box<dyn FnOnce(&mut <L as Ledger>::Pool) + Send>;

/// What can be asked of the driver.
pub enum Command<L: Ledger> {
    /// Check headers, parents first, and add them to the tree.
    ImportHeaders(Vec<L::Header>, oneshot::Sender<Result<HeadersImported, Reject>>),
    /// Check a block and follow it if its branch leads. Answered when its fate is known.
    Import {
        /// The block, any bytes that decoded.
        block: L::Block,
        /// From [`Candidate`], if we built it.
        executed: Option<Executed<L>>,
        /// Where the verdict goes.
        reply: oneshot::Sender<Result<Imported, Reject>>,
    },
    /// Judge an unsealed block on the head or on its parent; change nothing.
    Check(L::Block, oneshot::Sender<Result<(), Reject>>),
    /// Build a block on a parent that has been executed; `None` for the head.
    Build(Option<BlockId>, Attributes, oneshot::Sender<Result<Candidate<L>, Reject>>),
    /// Judge a transaction and keep it, or only judge it (`dry_run`).
    Submit {
        /// The transaction.
        tx: Arc<L::Tx>,
        /// Change nothing.
        dry_run: bool,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Admission, Refusal>>,
    },
    /// Follow the branch that ends here, whatever its weight.
    Prefer(BlockId, oneshot::Sender<Result<(), Reject>>),
    /// Nothing at or below this block should be reorganised any more.
    Safe(BlockId, oneshot::Sender<Result<(), Reject>>),
    /// This block will never be disconnected. Idempotent; answered when durable.
    Finalize(BlockId, Proof, oneshot::Sender<Result<(), Reject>>),
    /// Treat a block and its descendants as invalid, by the operator's will.
    Invalidate(BlockId, oneshot::Sender<Result<(), Reject>>),
    /// Forget verdicts of a block, its ancestors and its descendants.
    Reconsider(BlockId, oneshot::Sender<Result<(), Reject>>),
    /// Change the state above the head by hand, as soon as nothing is in flight. The head's own rows and root stay what they
    /// are: the change is part of what the next block does. Development chains alone.
    Amend(Amendment<L>, oneshot::Sender<Result<(), Reject>>),
    /// Go back to a block of the chain for good, whatever was final, with what had been changed by hand there. Development
    /// chains whose blocks have no weight, alone.
    Rewind(BlockId, Delta, oneshot::Sender<Result<(), Reject>>),
    /// Everything answered so far survives a power cut.
    Sync(oneshot::Sender<Result<(), Fault>>),
    /// Change the pool in ways only the ledger knows (priorities, loading a saved pool).
    WithPool(PoolChange<L>),
    /// Drop from the pool what has waited too long.
    ExpirePool,
}

/// The node's time, and waiting for it. A real clock, or the simulator's.
pub trait Clock: Send + Sync {
    /// Seconds since 1970, as the node believes.
    fn now(&self) -> Timestamp;

    /// Resolves after a duration.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// Where messages to the driver go.
pub type Inbox<L> = Arc<dyn Fn(Message<L>) + Send + Sync>;

/// A running chain. Cheap to clone.
pub struct ChainHandle<L: Ledger> {
    inbox: Inbox<L>,
    published: Arc<Published<L>>,
    clock: Arc<dyn Clock>,
}

impl<L: Ledger> Clone for ChainHandle<L> {
    fn clone(&self) -> Self {
        Self { inbox: self.inbox.clone(), published: self.published.clone(), clock: self.clock.clone() }
    }
}

impl<L: Ledger> ChainHandle<L> {
    /// A handle that sends to `inbox` and reads from `published`.
    pub fn new(inbox: Inbox<L>, published: Arc<Published<L>>, clock: Arc<dyn Clock>) -> Self {
        Self { inbox, published, clock }
    }

    /// What can be read without asking.
    pub fn published(&self) -> &Arc<Published<L>> {
        &self.published
    }

    /// The node's clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command<L>) -> Reply<T> {
        let (sender, reply) = Reply::new();
        (self.inbox)(Message::Command(command(sender)));
        reply
    }

    /// See [`Command::ImportHeaders`].
    pub fn import_headers(&self, headers: Vec<L::Header>) -> Reply<Result<HeadersImported, Reject>> {
        self.ask(|reply| Command::ImportHeaders(headers, reply))
    }

    /// See [`Command::Import`].
    pub fn import(&self, block: L::Block) -> Reply<Result<Imported, Reject>> {
        self.ask(|reply| Command::Import { block, executed: None, reply })
    }

    /// Imports a block we built ourselves, now sealed, without executing it again.
    pub fn import_built(&self, block: L::Block, executed: Executed<L>) -> Reply<Result<Imported, Reject>> {
        self.ask(|reply| Command::Import { block, executed: Some(executed), reply })
    }

    /// See [`Command::Check`].
    pub fn check(&self, block: L::Block) -> Reply<Result<(), Reject>> {
        self.ask(|reply| Command::Check(block, reply))
    }

    /// See [`Command::Build`].
    pub fn build(&self, parent: Option<BlockId>, on: Attributes) -> Reply<Result<Candidate<L>, Reject>> {
        self.ask(|reply| Command::Build(parent, on, reply))
    }

    /// See [`Command::Submit`].
    pub fn submit(&self, tx: Arc<L::Tx>) -> Reply<Result<Admission, Refusal>> {
        self.ask(|reply| Command::Submit { tx, dry_run: false, reply })
    }

    /// Judges a transaction without keeping it.
    pub fn submit_dry_run(&self, tx: Arc<L::Tx>) -> Reply<Result<Admission, Refusal>> {
        self.ask(|reply| Command::Submit { tx, dry_run: true, reply })
    }

    /// See [`Command::Prefer`].
    pub fn prefer(&self, id: BlockId) -> Reply<Result<(), Reject>> {
        self.ask(|reply| Command::Prefer(id, reply))
    }

    /// See [`Command::Safe`].
    pub fn safe(&self, id: BlockId) -> Reply<Result<(), Reject>> {
        self.ask(|reply| Command::Safe(id, reply))
    }

    /// See [`Command::Finalize`].
    pub fn finalize(&self, id: BlockId, proof: Proof) -> Reply<Result<(), Reject>> {
        self.ask(|reply| Command::Finalize(id, proof, reply))
    }

    /// See [`Command::Invalidate`].
    pub fn invalidate(&self, id: BlockId) -> Reply<Result<(), Reject>> {
        self.ask(|reply| Command::Invalidate(id, reply))
    }

    /// See [`Command::Reconsider`].
    pub fn reconsider(&self, id: BlockId) -> Reply<Result<(), Reject>> {
        self.ask(|reply| Command::Reconsider(id, reply))
    }

    /// See [`Command::Amend`].
    pub fn amend(
        &self,
        change: impl FnOnce(&View<L>) -> Result<Delta, Fault> + Send + 'static,
    ) -> Reply<Result<(), Reject>> {
        self.ask(|reply| Command::Amend(Box::new(change), reply))
    }

    /// See [`Command::Rewind`]. What had been changed is what [`Published::amendment`] told then.
    pub fn rewind(&self, to: BlockId, amendment: Delta) -> Reply<Result<(), Reject>> {
        self.ask(|reply| Command::Rewind(to, amendment, reply))
    }

    /// See [`Command::Sync`].
    pub fn sync(&self) -> Reply<Result<(), Fault>> {
        self.ask(Command::Sync)
    }

    /// See [`Command::WithPool`].
    pub fn with_pool<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut L::Pool) -> T + Send + 'static,
    ) -> Reply<T> {
        self.ask(|reply| {
            Command::WithPool(Box::new(move |pool| {
                let _ = reply.send(change(pool));
            }))
        })
    }

    /// See [`Command::ExpirePool`].
    pub fn expire_pool(&self) {
        (self.inbox)(Message::Command(Command::ExpirePool));
    }
}
