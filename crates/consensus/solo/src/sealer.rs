//! Making blocks: when, and how one becomes final.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chainwright_chain::{
    Block, BlockId, BoxFuture, ChainHandle, Consensus, Fault, Header, Headers, Ledger, Notice, Pool, Reject,
    Reply, Timestamp,
};
use futures_channel::{mpsc, oneshot};
use futures_util::future::{Either, pending, select};
use futures_util::stream::StreamExt as _;
use parking_lot::Mutex;

use crate::controls::{Batch, Controls};
use crate::engine::Solo;
use crate::key::SealingKey;

/// Rest after a block that could not be made.
const REST: Duration = Duration::from_secs(1);

/// When the sealer makes a block. [`Solo::seal_now`] works under all of them: where blocks are made as transactions come, what
/// waits is in a block before the one that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// As soon as a transaction waits.
    OnTransaction,
    /// At fixed intervals, with or without transactions.
    Interval(Duration),
    /// When asked, and only then.
    OnRequest,
}

/// What the sealing node knows and others don't.
#[derive(Debug)]
pub(crate) struct Sealer {
    pub(crate) key: SealingKey,
    pub(crate) controls: Mutex<Controls>,
}

type Answer = oneshot::Sender<Result<BlockId, Fault>>;

/// A block that was asked for.
pub struct SealNow(Reply<Result<BlockId, Fault>>);

impl SealNow {
    /// Blocks the thread until the block is final. Never call it where the engine runs.
    ///
    /// # Errors
    /// A [`Fault`] when no block could be made.
    pub fn wait(self) -> Result<BlockId, Fault> {
        self.0.wait().unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> Fault {
    Fault::new("the sealer has stopped")
}

impl Future for SealNow {
    type Output = Result<BlockId, Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or_else(|_| Err(stopped())))
    }
}

/// What the sealer is asked for.
pub(crate) enum Order {
    Seal(Batch, Answer),
    /// Something that must not meet a block in the making.
    Run(BoxFuture<'static, ()>),
    /// Settings have changed.
    LookAgain,
}

/// The way from whoever asks to the sealer.
pub(crate) struct Requests {
    sender: mpsc::UnboundedSender<Order>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Order>>>,
}

impl core::fmt::Debug for Requests {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Requests")
    }
}

impl Default for Requests {
    fn default() -> Self {
        let (sender, receiver) = mpsc::unbounded();
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl Requests {
    /// If nobody runs any more the order is dropped, which whoever waits for its answer sees.
    pub(crate) fn send(&self, order: Order) {
        let _ = self.sender.unbounded_send(order);
    }

    pub(crate) fn seal(&self, can_seal: bool, batch: Batch) -> SealNow {
        let (answer, reply) = Reply::new();
        if can_seal {
            self.send(Order::Seal(batch, answer));
        } else {
            let _ = answer.send(Err(Fault::new("this node does not hold the sealing key")));
        }
        SealNow(reply)
    }
}

/// Why no block was made.
enum Halt {
    /// The chain does not answer any more.
    Stopped,
    Refused(Reject),
}

impl From<Fault> for Halt {
    fn from(_: Fault) -> Self {
        Self::Stopped
    }
}

impl From<Reject> for Halt {
    fn from(reject: Reject) -> Self {
        Self::Refused(reject)
    }
}

/// Why the sealer woke up.
enum Wake {
    Asked(Order),
    Pooled,
    Due,
    Stopping,
}

/// Seals until the chain stops; without a key, waits for that.
pub(crate) async fn run<L: Ledger>(solo: Arc<Solo>, chain: ChainHandle<L>) -> Result<(), Fault> {
    let receiver = solo.requests.receiver.lock().take();
    let requests = receiver.ok_or_else(|| Fault::new("the solo engine runs already"))?;
    let notices = chain.published().subscribe();
    let mut run = Run { solo, chain, notices, requests };
    match run.until_stopped().await {
        Err(Halt::Refused(reject)) => Err(Fault::new(reject.to_string())),
        Ok(()) | Err(Halt::Stopped) => Ok(()),
    }
}

struct Run<L: Ledger> {
    solo: Arc<Solo>,
    chain: ChainHandle<L>,
    notices: mpsc::Receiver<Notice>,
    requests: mpsc::UnboundedReceiver<Order>,
}

/// The interval between two blocks, and its end.
type Due = Option<(Duration, BoxFuture<'static, ()>)>;

impl<L: Ledger> Run<L> {
    async fn until_stopped(&mut self) -> Result<(), Halt> {
        // Transactions may have waited before we subscribed.
        self.empty_pool().await?;
        let mut until = None;
        loop {
            match self.wake(&mut until).await {
                Wake::Stopping => return Ok(()),
                Wake::Pooled => self.empty_pool().await?,
                Wake::Due => drop(self.seal_or_rest().await?),
                Wake::Asked(order) => {
                    // What was sent before the order is in a block before it.
                    self.empty_pool().await?;
                    self.carry_out(order).await;
                    // It may have made something ready, or changed when blocks are made.
                    self.empty_pool().await?;
                }
            }
        }
    }

    async fn carry_out(&self, order: Order) {
        match order {
            Order::LookAgain => {}
            Order::Run(work) => work.await,
            Order::Seal(batch, answer) => {
                let answered = self.seal_many(batch).await.map_err(|halt| match halt {
                    Halt::Stopped => Fault::new("the chain has stopped"),
                    Halt::Refused(reject) => Fault::new(reject.to_string()),
                });
                // Nobody has to wait for the answer.
                let _ = answer.send(answered);
            }
        }
    }

    fn sealing(&self) -> Option<Sealing> {
        self.solo.controls().map(|controls| controls.sealing)
    }

    async fn wake(&mut self, until: &mut Due) -> Wake {
        let sealing = self.sealing();
        *until = match (sealing, until.take()) {
            // Whoever asks for something in between does not put a block off.
            (Some(Sealing::Interval(interval)), Some(due)) if due.0 == interval => Some(due),
            (Some(Sealing::Interval(interval)), _) => Some((interval, self.chain.clock().sleep(interval))),
            _ => None,
        };
        let due = match until {
            Some((_, due)) => Either::Left(due),
            None => Either::Right(pending()),
        };
        let noticed = pin!(next_notice(&mut self.notices, sealing == Some(Sealing::OnTransaction)));
        match select(self.requests.next(), select(noticed, due)).await {
            Either::Left((Some(order), _)) => Wake::Asked(order),
            Either::Left((None, _)) => Wake::Stopping,
            Either::Right((Either::Left((wake, _)), _)) => wake,
            Either::Right((Either::Right(((), _)), _)) => {
                *until = None;
                Wake::Due
            }
        }
    }

    /// Makes blocks while they take transactions out of the pool.
    async fn empty_pool(&mut self) -> Result<(), Halt> {
        if self.sealing() != Some(Sealing::OnTransaction) {
            return Ok(());
        }
        loop {
            let (waiting, is_ready) = {
                let pool = self.chain.published().pool();
                (pool.len(), pool.is_ready())
            };
            if !is_ready || !self.seal_or_rest().await? {
                return Ok(());
            }
            // What no block takes must not make empty blocks for ever.
            if self.chain.published().pool().len() >= waiting {
                return Ok(());
            }
        }
    }

    /// Whether a block was made; rests if not. Our own faults end the engine.
    async fn seal_or_rest(&mut self) -> Result<bool, Halt> {
        match self.seal_one().await {
            Ok(_) => Ok(true),
            Err(halt @ (Halt::Stopped | Halt::Refused(Reject::Fault(_)))) => Err(halt),
            Err(Halt::Refused(_)) => {
                self.chain.clock().sleep(REST).await;
                Ok(false)
            }
        }
    }

    /// One block on the head: built, stored, signed, final.
    async fn seal_one(&self) -> Result<BlockId, Halt> {
        self.seal_many(Batch::ONE).await
    }

    /// Blocks on the head, of which the last is signed and makes the others final.
    async fn seal_many(&self, batch: Batch) -> Result<BlockId, Halt> {
        let Some(sealer) = &self.solo.sealer else {
            return Err(Reject::Fault(Fault::new("this node does not hold the sealing key")).into());
        };
        let mut last = self.chain.published().head().headers;
        for number in 0..batch.count {
            let later = |step: u64| Timestamp(last.header().time().0.saturating_add(step));
            let time = if number == 0 { batch.first } else { batch.step_seconds.map(later) };
            let id = self.make_one(sealer, &last, time).await?;
            if number + 1 < batch.count {
                self.chain.prefer(id).await??;
            }
            let made = self.chain.published().headers(&id);
            last = made.ok_or_else(|| Reject::Fault(Fault::new("a block that was made is not known")))?;
        }
        // Signed only now: a block we could not store must never be final elsewhere.
        let proof = self.solo.prove(&sealer.key, last.id(), last.height());
        if batch.count > 0 {
            self.chain.finalize(last.id(), proof).await??;
        }
        Ok(last.id())
    }

    /// One block on `parent`, built and stored; with this time, if given.
    async fn make_one(
        &self,
        sealer: &Sealer,
        parent: &Headers<L>,
        time: Option<Timestamp>,
    ) -> Result<BlockId, Halt> {
        let (controls, clock) = (sealer.controls.lock().clone(), self.chain.clock().now());
        let is_set = time.is_some() || controls.time.next.is_some();
        let time = time.unwrap_or_else(|| controls.time.of_child(parent.header().time(), clock));
        let mut on = self.solo.attributes(parent, time);
        on.payee.clone_from(&controls.payee);
        on.randomness = controls.next_randomness.unwrap_or_default();
        let made_at = on.time;
        let candidate = self.chain.build(Some(parent.id()), on).await??;
        let id = candidate.block.header().id();
        self.chain.import_built(candidate.block, candidate.executed).await??;
        let mut now = sealer.controls.lock();
        if is_set {
            // Time goes on from there.
            now.time.set_now(clock, made_at);
        }
        // What was asked for meanwhile is of the block after this one.
        now.time.next = now.time.next.filter(|next| controls.time.next != Some(*next));
        now.next_randomness = now.next_randomness.filter(|next| controls.next_randomness != Some(*next));
        Ok(id)
    }
}

async fn next_notice(notices: &mut mpsc::Receiver<Notice>, wants_pooled: bool) -> Wake {
    loop {
        match notices.next().await {
            None | Some(Notice::Stopping) => return Wake::Stopping,
            Some(Notice::Pooled { .. }) if wants_pooled => return Wake::Pooled,
            Some(_) => {}
        }
    }
}
