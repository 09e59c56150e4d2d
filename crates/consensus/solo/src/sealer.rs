//! Making blocks: when, and how one becomes final.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chainwright_chain::{
    Block, BlockId, ChainHandle, Consensus, Fault, Header, Headers, Ledger, Notice, Pool, Reject,
};
use futures_channel::{mpsc, oneshot};
use futures_util::future::{Either, pending, select};
use futures_util::stream::StreamExt as _;
use parking_lot::Mutex;

use crate::engine::Solo;
use crate::key::SealingKey;

/// Rest after a block that could not be made.
const REST: Duration = Duration::from_secs(1);

/// When the sealer makes a block. [`Solo::seal_now`] works under all of them.
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
    pub(crate) sealing: Sealing,
    pub(crate) payee: Vec<u8>,
}

type Answer = oneshot::Sender<Result<BlockId, Fault>>;

/// A block that was asked for.
pub struct SealNow(oneshot::Receiver<Result<BlockId, Fault>>);

impl Future for SealNow {
    type Output = Result<BlockId, Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let stopped = |_| Err(Fault::new("the sealer has stopped"));
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or_else(stopped))
    }
}

/// The way from whoever asks to the sealer.
#[derive(Debug)]
pub(crate) struct Requests {
    sender: mpsc::UnboundedSender<Answer>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Answer>>>,
}

impl Default for Requests {
    fn default() -> Self {
        let (sender, receiver) = mpsc::unbounded();
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl Requests {
    pub(crate) fn ask(&self, can_seal: bool) -> SealNow {
        let (answer, receiver) = oneshot::channel();
        if can_seal {
            // If nobody runs any more the answer is dropped, which the future reports.
            let _ = self.sender.unbounded_send(answer);
        } else {
            let _ = answer.send(Err(Fault::new("this node does not hold the sealing key")));
        }
        SealNow(receiver)
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
    Asked(Answer),
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
    requests: mpsc::UnboundedReceiver<Answer>,
}

impl<L: Ledger> Run<L> {
    async fn until_stopped(&mut self) -> Result<(), Halt> {
        // Transactions may have waited before we subscribed.
        self.empty_pool().await?;
        loop {
            match self.wake().await {
                Wake::Stopping => return Ok(()),
                Wake::Pooled => self.empty_pool().await?,
                Wake::Due => drop(self.seal_or_rest().await?),
                Wake::Asked(answer) => {
                    let answered = self.seal_one().await.map_err(|halt| match halt {
                        Halt::Stopped => Fault::new("the chain has stopped"),
                        Halt::Refused(reject) => Fault::new(reject.to_string()),
                    });
                    // Nobody has to wait for the answer.
                    let _ = answer.send(answered);
                }
            }
        }
    }

    fn sealing(&self) -> Option<Sealing> {
        self.solo.sealer.as_ref().map(|sealer| sealer.sealing)
    }

    async fn wake(&mut self) -> Wake {
        let sealing = self.sealing();
        let due = match sealing {
            Some(Sealing::Interval(interval)) => self.chain.clock().sleep(interval),
            _ => Box::pin(pending()),
        };
        let noticed = pin!(next_notice(&mut self.notices, sealing == Some(Sealing::OnTransaction)));
        match select(self.requests.next(), select(noticed, due)).await {
            Either::Left((Some(answer), _)) => Wake::Asked(answer),
            Either::Left((None, _)) => Wake::Stopping,
            Either::Right((Either::Left((wake, _)), _)) => wake,
            Either::Right((Either::Right(((), _)), _)) => Wake::Due,
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
        let Some(sealer) = &self.solo.sealer else {
            return Err(Reject::Fault(Fault::new("this node does not hold the sealing key")).into());
        };
        let parent: Headers<L> = self.chain.published().head().headers;
        let mut on = self.solo.attributes(&parent, self.chain.clock().now());
        on.payee.clone_from(&sealer.payee);
        let candidate = self.chain.build(Some(parent.id()), on).await??;
        let id = candidate.block.header().id();
        self.chain.import_built(candidate.block, candidate.executed).await??;
        // Signed only now: a block we could not store must never be final elsewhere.
        let proof = self.solo.prove(&sealer.key, id, parent.height().next());
        self.chain.finalize(id, proof).await??;
        Ok(id)
    }
}

async fn next_notice(notices: &mut mpsc::Receiver<Notice>, wants_pooled: bool) -> Wake {
    loop {
        match notices.next().await {
            None | Some(Notice::Stopping) => return Wake::Stopping,
            Some(Notice::Pooled(_)) if wants_pooled => return Wake::Pooled,
            Some(_) => {}
        }
    }
}
