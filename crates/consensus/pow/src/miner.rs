//! The miner in the node's own process: attributes → build → seal → import, on every new head.
//!
//! Invariants:
//! - the executor is never held longer than one slice of nonces (about a millisecond);
//! - threads end when the future does, finished or dropped;
//! - a candidate is given up when the head moves, and rebuilt when it is old: time goes on and transactions arrive.

use std::cell::Cell;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chainwright_chain::{
    Block, BlockId, ChainHandle, Consensus, Fault, Headers, Imported, Ledger, Notice, Reject, Timestamp,
    U256, Work,
};
use futures_channel::mpsc;
use futures_util::future::{Either, FutureExt as _, select};
use futures_util::stream::StreamExt as _;

use crate::compact::target_of;
use crate::engine::Pow;
use crate::hash::{Nonces, WorkHash};

/// Age at which a candidate is replaced by a fresh one.
const CANDIDATE_SECONDS: u64 = 30;
/// Rest after a candidate that could not be built or was refused.
const REST: Duration = Duration::from_secs(1);

/// Mining in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Miner {
    /// Who is paid, in the ledger's own form.
    pub payee: Vec<u8>,
    /// Least time between a new head and the next block of ours; `None` mines without pause. For local networks, whose
    /// targets cost nothing.
    pub pace: Option<Duration>,
    /// Threads that grind; with none, the executor itself does, slice by slice.
    pub threads: usize,
}

type Notices = mpsc::Receiver<Notice>;

/// What a miner has to know of its chain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signal {
    HeadMoved,
    Stopping,
}

/// How grinding one candidate ended.
enum Outcome<H> {
    Sealed(H),
    Stale,
    Stopping,
}

/// Mines until the chain stops; without a miner, waits for that.
pub(crate) async fn run<L: Ledger<Header: Work>>(pow: Arc<Pow>, chain: ChainHandle<L>) -> Result<(), Fault> {
    let mut notices = chain.published().subscribe();
    let Some(miner) = pow.miner.clone() else {
        while next_signal(&mut notices).await != Signal::Stopping {}
        return Ok(());
    };
    loop {
        if let Some(pace) = miner.pace
            && !rest(&chain, &mut notices, pace).await
        {
            return Ok(());
        }
        match mine_one(&pow, &miner, &chain, &mut notices).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(Reject::Fault(fault)) => return Err(fault),
            // Refused by our own rules or not possible yet: a rest, then a fresh candidate.
            Err(_) => {
                if !rest(&chain, &mut notices, REST).await {
                    return Ok(());
                }
            }
        }
    }
}

/// The next thing that matters to a miner.
async fn next_signal(notices: &mut Notices) -> Signal {
    loop {
        match notices.next().await {
            None | Some(Notice::Stopping) => return Signal::Stopping,
            Some(Notice::Head(..)) => return Signal::HeadMoved,
            Some(_) => {}
        }
    }
}

/// Waits until the head has stood still for a while; `false` when the chain stops.
async fn rest<L: Ledger>(chain: &ChainHandle<L>, notices: &mut Notices, time: Duration) -> bool {
    loop {
        match select(chain.clock().sleep(time), pin!(next_signal(notices))).await {
            Either::Left(_) => return true,
            Either::Right((Signal::Stopping, _)) => return false,
            Either::Right((Signal::HeadMoved, _)) => {}
        }
    }
}

/// One candidate, from attributes to import; `false` when the chain stops.
async fn mine_one<L: Ledger<Header: Work>>(
    pow: &Arc<Pow>,
    miner: &Miner,
    chain: &ChainHandle<L>,
    notices: &mut Notices,
) -> Result<bool, Reject> {
    let parent = chain.published().head().headers;
    let mut on = pow.attributes(&parent, chain.clock().now());
    on.payee.clone_from(&miner.payee);
    let Ok(candidate) = chain.build(Some(parent.id()), on).await else { return Ok(false) };
    let candidate = candidate?;
    let mut block = candidate.block;
    let grind = Grind { hash: pow.hash, chain, parent: parent.id(), until: candidate_end(chain) };
    let header = block.header().clone();
    let outcome = match miner.threads {
        0 => grind.in_slices(header, notices).await,
        threads => grind.on_threads(header, notices, threads).await,
    };
    match outcome {
        Outcome::Stopping => return Ok(false),
        Outcome::Stale => return Ok(true),
        Outcome::Sealed(header) => *block.header_mut() = header,
    }
    match chain.import_built(block, candidate.executed).await {
        Err(_) => Ok(false),
        Ok(verdict) => verdict.map(|_: Imported| true),
    }
}

fn candidate_end<L: Ledger>(chain: &ChainHandle<L>) -> Timestamp {
    Timestamp(chain.clock().now().0.saturating_add(CANDIDATE_SECONDS))
}

/// Grinding one candidate.
struct Grind<'a, L: Ledger> {
    hash: WorkHash,
    chain: &'a ChainHandle<L>,
    parent: BlockId,
    until: Timestamp,
}

impl<L: Ledger<Header: Work>> Grind<'_, L> {
    fn is_stale(&self) -> bool {
        let head: Headers<L> = self.chain.published().head().headers;
        head.id() != self.parent || self.chain.clock().now() >= self.until
    }

    async fn in_slices(&self, mut header: L::Header, notices: &mut Notices) -> Outcome<L::Header> {
        let Some(target) = target_of(header.target()) else { return Outcome::Stale };
        let mut first = 0;
        while first <= header.nonce_max() {
            if self.hash.grind_slice(&mut header, target, first) {
                return Outcome::Sealed(header);
            }
            yield_now().await;
            if next_signal(notices).now_or_never() == Some(Signal::Stopping) {
                return Outcome::Stopping;
            }
            if self.is_stale() {
                return Outcome::Stale;
            }
            first = first.saturating_add(crate::hash::SLICE);
        }
        self.exhausted(notices).await
    }

    async fn on_threads(
        &self,
        header: L::Header,
        notices: &mut Notices,
        threads: usize,
    ) -> Outcome<L::Header> {
        let Some(target) = target_of(header.target()) else { return Outcome::Stale };
        let stop = StopOnDrop::default();
        let mut results = spawn(self.hash, &header, target, threads, &stop);
        loop {
            let wait = self.chain.clock().sleep(Duration::from_secs(1));
            let signal = pin!(next_signal(notices));
            match select(results.next(), select(signal, wait)).await {
                Either::Left((Some(header), _)) => return Outcome::Sealed(header),
                Either::Left((None, _)) => break,
                Either::Right((Either::Left((Signal::Stopping, _)), _)) => return Outcome::Stopping,
                Either::Right(_) if self.is_stale() => return Outcome::Stale,
                Either::Right(_) => {}
            }
        }
        self.exhausted(notices).await
    }

    /// Out of nonces: the same header would come again until the clock shows another second.
    async fn exhausted(&self, notices: &mut Notices) -> Outcome<L::Header> {
        let has_rested = rest(self.chain, notices, REST).await;
        if has_rested { Outcome::Stale } else { Outcome::Stopping }
    }
}

impl WorkHash {
    /// Tries one slice of nonces.
    fn grind_slice<H: Work>(self, header: &mut H, target: U256, first: u64) -> bool {
        let looks = Cell::new(0);
        self.grind(header, target, Nonces { first, step: 1 }, &|| looks.replace(looks.get() + 1) > 0)
    }
}

/// Tells threads to end once nobody waits for them.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts threads that share the nonces. The stream ends when all have given up.
fn spawn<H: Work>(
    hash: WorkHash,
    header: &H,
    target: U256,
    threads: usize,
    stop: &StopOnDrop,
) -> mpsc::UnboundedReceiver<H> {
    let (sender, results) = mpsc::unbounded();
    for first in 0..threads as u64 {
        let (mut header, sender, stop) = (header.clone(), sender.clone(), Arc::clone(&stop.0));
        std::thread::spawn(move || {
            let nonces = Nonces { first, step: threads as u64 };
            if hash.grind(&mut header, target, nonces, &|| stop.load(Ordering::Relaxed)) {
                stop.store(true, Ordering::Relaxed);
                // Nobody listens any more when the head has moved meanwhile; the block would be stale.
                let _ = sender.unbounded_send(header);
            }
        });
    }
    results
}

/// Lets others run.
async fn yield_now() {
    let mut has_yielded = false;
    core::future::poll_fn(|context| {
        if core::mem::replace(&mut has_yielded, true) {
            return core::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        core::task::Poll::Pending
    })
    .await;
}
