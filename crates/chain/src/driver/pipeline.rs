//! Execution in order, checks in parallel across block boundaries, commits in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::records::Record;
use super::rollback::Bodies;
use super::roots::Comparison;
use super::{Driver, Message};
use crate::tree::Status;
use crate::{
    Block, BlockId, Codec, Delta, Executed, Fault, HeadChange, Header, Headers, Imported, Inbox, Jobs,
    Ledger, Notice, Pool, Prepared, Reason, Reject, Step, Timestamp, View, Workers,
};

/// A block that has been executed and is not published yet.
pub(super) struct Flight<L: Ledger> {
    number: u64,
    pub(super) view: View<L>,
    prepared: Arc<Prepared<L>>,
    /// What it does to the rows.
    executed: Executed<L>,
    /// What it does to its parent's view: the same, unless the state was changed by hand there.
    layer: Delta,
    proven: bool,
}

/// Counts the checks of one flight and remembers the first failure in block order, whatever order they finish in.
pub(super) struct Countdown<L: Ledger> {
    flight: u64,
    left: AtomicUsize,
    failed: Mutex<Option<(usize, Reject)>>,
    inbox: Inbox<L>,
}

impl<L: Ledger> Countdown<L> {
    /// Whether a check would change nothing, because one before it has failed.
    pub(super) fn is_moot(&self, at: usize) -> bool {
        self.failed.lock().as_ref().is_some_and(|(first, _)| *first < at)
    }

    fn run(&self, at: usize, job: crate::Job) {
        self.finish(at, if self.is_moot(at) { Ok(()) } else { job().map_err(Reject::Invalid) });
    }

    /// Counts one check.
    pub(super) fn finish(&self, at: usize, result: Result<(), Reject>) {
        if let Err(reject) = result {
            let mut failed = self.failed.lock();
            if failed.as_ref().is_none_or(|(first, _)| at < *first) {
                *failed = Some((at, reject));
            }
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let result = self.failed.lock().take().map_or(Ok(()), |(_, reject)| Err(reject));
            (self.inbox)(Message::JobsDone { flight: self.flight, result });
        }
    }
}

impl<L: Ledger> Driver<L> {
    /// Where the next block would be executed.
    pub(super) fn tip(&self) -> &View<L> {
        self.flights.back().map_or(&self.base, |flight| &flight.view)
    }

    /// Executes towards the best candidate as far as limits allow, and publishes what is proven.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.unfinished = false;
        let result = self.try_advance(now);
        self.stalled = result.is_err();
        match result {
            Ok(()) if self.is_idle() => self.settle(),
            Ok(()) => {}
            Err(fault) => self.stall(&fault),
        }
    }

    /// Stops the pipeline until the next message, and answers everybody who waits.
    fn stall(&mut self, fault: &Fault) {
        self.stalled = true;
        self.note_fault(fault);
        for reply in core::mem::take(&mut self.waiting).into_values().flatten() {
            drop(reply.send(Err(Reject::Fault(fault.clone()))));
        }
        let settling = core::mem::take(&mut self.settling).into_iter().map(|(_, reply)| reply);
        let finalizing = core::mem::take(&mut self.finalizing).into_iter().map(|(_, _, reply)| reply);
        let revising = core::mem::take(&mut self.revisions).into_iter().map(|(_, reply)| reply);
        for reply in settling.chain(finalizing).chain(revising) {
            drop(reply.send(Err(Reject::Fault(fault.clone()))));
        }
    }

    fn try_advance(&mut self, now: Timestamp) -> Result<(), Fault> {
        loop {
            self.publish_proven(now)?;
            let Some(target) = self.next_target() else { return Ok(()) };
            if self.is_full() {
                return Ok(());
            }
            self.step_towards(&target, now)?;
            if self.unfinished {
                return Ok(());
            }
        }
    }

    /// The branch to follow, if the pipeline does not end there already.
    fn next_target(&self) -> Option<Headers<L>> {
        let tree = self.published.tree.read();
        let target = tree.best_candidate()?;
        let tip = &self.tip().headers;
        let lost = tree.is_invalid(&tip.id()) || tree.is_invalid(&self.head.headers.id());
        (target.id() != tip.id() && (lost || tree.leads(target, tip))).then(|| target.clone())
    }

    fn is_full(&self) -> bool {
        // What is proven behind something unproven cannot leave either.
        let unproven = self.flights.iter().skip_while(|flight| flight.proven);
        let (count, bytes) = unproven
            .fold((0, 0), |(count, bytes), flight| (count + 1, bytes + flight.executed.delta.memory()));
        count >= self.parts.limits.unproven_blocks_max || bytes >= self.parts.limits.unproven_bytes_max
    }

    /// Cuts the pipeline back to the branch of `target` and executes its next block.
    fn step_towards(&mut self, target: &Headers<L>, now: Timestamp) -> Result<(), Fault> {
        let head = &self.head.headers;
        if self.base.headers.id() != head.id() && target.contains(head) {
            // The branch that was to replace the head has fallen.
            self.flights.clear();
            self.base = self.head_view();
            return Ok(());
        }
        let fork = self.tip().headers.fork_point(target);
        if fork.height() < self.base.headers.height() {
            self.flights.clear();
            if !self.go_back(&fork, now)? {
                return Ok(());
            }
        } else {
            self.flights.retain(|flight| flight.view.headers.height() <= fork.height());
        }
        match target.ancestor(fork.height().next()) {
            Some(next) => self.execute(&next),
            None => Ok(()),
        }
    }

    /// Takes a block from memory, or reads and prepares it again. `None` if its body cannot be read: then it waits for another.
    fn take_prepared(&mut self, id: BlockId) -> Result<Option<Arc<Prepared<L>>>, Fault> {
        if let Some(prepared) = self.forget_prepared(&id) {
            return Ok(Some(prepared));
        }
        let Ok(Some(bytes)) = self.parts.store.bodies().body(&id) else {
            self.lose_body(id)?;
            return Ok(None);
        };
        let wrong = |what: String| Fault::new(format!("stored block {}: {what}", L::show_id(&id.0)));
        let block = L::Block::decode(&bytes).map_err(|error| wrong(error.to_string()))?;
        let prepared = self.parts.ledger.prepare(block).map_err(|reject| wrong(reject.to_string()))?;
        Ok(Some(Arc::new(prepared)))
    }

    fn execute(&mut self, headers: &Headers<L>) -> Result<(), Fault> {
        let id = headers.id();
        let Some(prepared) = self.take_prepared(id)? else {
            if self.head.headers.contains(headers) {
                // No way from below that leads through the chain itself can be taken; from the head it can.
                self.flights.clear();
                self.base = self.head_view();
            }
            return Ok(());
        };
        let parent = self.tip().clone();
        let best = self.published.best_header();
        let assumed = self.parts.consensus.assumes_valid(headers, &best);
        let mut jobs = if assumed { Jobs::skipped() } else { Jobs::default() };
        let executed = match self.built.remove(&id) {
            Some(built) => Ok(built),
            None => self.parts.ledger.execute(&parent, &prepared, &mut jobs),
        };
        match executed {
            Ok(executed) => self.take_off(headers, &parent, (prepared, executed), jobs),
            Err(Reject::Fault(fault)) => return Err(fault),
            Err(Reject::Invalid(reason) | Reject::Mutated(reason)) => self.mark_invalid(id, reason),
            Err(Reject::NotYet(_) | Reject::MissingParent(_)) => {
                return Err(Fault::new("a ledger's execute may not ask for time or parents"));
            }
        }
        Ok(())
    }

    fn take_off(
        &mut self,
        headers: &Headers<L>,
        parent: &View<L>,
        (prepared, mut executed): (Arc<Prepared<L>>, Executed<L>),
        jobs: Jobs,
    ) {
        self.flight_count += 1;
        let number = self.flight_count;
        let layer = executed.delta.clone();
        let state = parent.state.with_layer(layer.clone());
        let view = self.published.amended(View { headers: headers.clone(), state });
        executed.delta = self.published.amendments.read().under(parent, executed.delta);
        let (jobs, root) = (jobs.into_list(), headers.state_root());
        let checks = jobs.len() + usize::from(root.is_some());
        let delta = executed.delta.clone();
        self.flights.push_back(Flight { number, view, prepared, executed, layer, proven: checks == 0 });
        let status = if checks == 0 { Status::Valid } else { Status::Executed };
        self.published.tree.write().set_status(&headers.id(), status);
        let countdown = Arc::new(Countdown {
            flight: number,
            left: AtomicUsize::new(checks),
            failed: Mutex::new(None),
            inbox: self.parts.inbox.clone(),
        });
        if let Some(expected) = root {
            // First to start, last to be heard: roots wait for each other, the other checks for nothing.
            let in_flight = self.flights.iter().map(|flight| &flight.prepared.id);
            self.roots.executed(headers.id(), &delta, in_flight);
            let (block, countdown) = (headers.clone(), Arc::clone(&countdown));
            let comparison = Comparison { block, expected, countdown, at: jobs.len() };
            self.roots.compare(&*self.parts.workers, number, comparison);
        }
        for (at, job) in jobs.into_iter().enumerate() {
            let countdown = Arc::clone(&countdown);
            self.parts.workers.spawn(Box::new(move || countdown.run(at, job)));
        }
    }

    pub(super) fn jobs_done(&mut self, number: u64, result: Result<(), Reject>, now: Timestamp) {
        let Some(at) = self.flights.iter().position(|flight| flight.number == number) else { return };
        let id = self.flights[at].prepared.id;
        match result {
            Ok(()) => {
                self.flights[at].proven = true;
                self.published.tree.write().set_status(&id, Status::Valid);
            }
            Err(Reject::Invalid(reason) | Reject::Mutated(reason)) => self.mark_invalid(id, reason),
            Err(reject) => {
                // Nothing is known of the block: it is executed again with the next message.
                self.flights.truncate(at);
                let odd = |reject: Reject| Fault::new(format!("a check may not answer: {reject}"));
                let fault = if let Reject::Fault(fault) = reject { fault } else { odd(reject) };
                return self.stall(&fault);
            }
        }
        self.advance(now);
    }

    /// Marks a block and its descendants invalid, for ever, and drops what was executed on top of it.
    pub(super) fn mark_invalid(&mut self, id: BlockId, reason: Reason) {
        // If the record cannot be written the block is judged again after a restart, to the same end.
        if let Err(fault) = self.parts.store.put_record(&Record::Invalid(id, reason.clone()).encode()) {
            self.note_fault(&fault);
        }
        self.published.tree.write().invalidate(id, &reason);
        let tree = self.published.tree.read();
        self.flights.retain(|flight| !tree.is_invalid(&flight.prepared.id));
        let spoilt: Vec<_> = self.prepared.keys().copied().filter(|id| tree.is_invalid(id)).collect();
        let fallen: Vec<_> = self.waiting.keys().copied().filter(|id| tree.is_invalid(id)).collect();
        let finalizing = core::mem::take(&mut self.finalizing);
        let (lost, kept) = finalizing.into_iter().partition(|(id, _, _)| tree.is_invalid(id));
        drop(tree);
        for id in spoilt {
            self.forget_prepared(&id);
        }
        self.finalizing = kept;
        for id in fallen {
            self.answer(id, &Err(Reject::Invalid(reason.clone())));
        }
        for (_, _, reply) in lost {
            drop(reply.send(Err(Reject::Invalid(reason.clone()))));
        }
    }

    /// Publishes the longest proven prefix of the pipeline, if it leads.
    fn publish_proven(&mut self, now: Timestamp) -> Result<(), Fault> {
        let count = self.flights.iter().take_while(|flight| flight.proven).count();
        let end = count.checked_sub(1).map_or(&self.base, |last| &self.flights[last].view).headers.clone();
        let head = &self.head.headers;
        let due = {
            let tree = self.published.tree.read();
            let extends = end.contains(head);
            // A head that fell is left once its whole replacement is proven: in between the pool would forget what fits neither
            // here nor there, but does fit in the end.
            let fell =
                tree.is_invalid(&head.id()) && tree.best_candidate().is_none_or(|best| best.id() == end.id());
            let long =
                || self.is_long(count) && tree.best_candidate().is_some_and(|best| best.contains(&end));
            end.id() != head.id() && (extends || fell || tree.leads(&end, head) || long())
        };
        if due { self.commit(count, &end, now) } else { Ok(()) }
    }

    /// Whether a proven branch that does not lead yet needs so much memory that it has to be followed now.
    fn is_long(&self, count: usize) -> bool {
        let proven = self.flights.range(..count).map(|flight| flight.executed.delta.memory());
        count >= self.parts.limits.rollback_blocks_max
            || proven.sum::<usize>() >= self.parts.limits.rollback_bytes_max
    }

    pub(super) fn commit(&mut self, count: usize, end: &Headers<L>, now: Timestamp) -> Result<(), Fault> {
        let (mut steps, left) = self.undo_steps()?;
        let joining: Vec<_> = self.flights.range(..count).map(|flight| flight.prepared.clone()).collect();
        for flight in self.flights.range(..count) {
            let receipts = Bytes::from(flight.executed.receipts.to_bytes());
            let from = flight.prepared.block.header().parent();
            steps.push(Step { from, to: flight.prepared.id, delta: flight.executed.delta.clone(), receipts });
        }
        self.parts.store.journal(&steps)?;
        for step in &steps {
            self.timeline.publish(step.delta.clone());
            self.parts.store.apply(step);
        }
        self.flights.drain(..count);
        self.built
            .retain(|id, _| self.published.headers(id).is_some_and(|block| block.height() > end.height()));
        self.head = View { headers: end.clone(), state: self.rows_view() };
        self.base = self.head_view();
        self.rebase_flights();
        self.published.tree.write().prune_candidates(&self.head.headers);
        self.tell_pool((&left, &joining), &steps, now);
        self.durability.commits += 1;
        self.published.notify(Notice::Head(self.head.headers.id(), self.head.headers.height()));
        self.release_missing();
        for block in &joining {
            self.answer(block.id, &Ok(Imported::Valid));
        }
        self.finalize_connected();
        Ok(())
    }

    /// Flights above the new head need fewer layers now.
    fn rebase_flights(&mut self) {
        let mut state = self.base.state.clone();
        for flight in &mut self.flights {
            state = state.with_layer(flight.layer.clone());
            let headers = flight.view.headers.clone();
            flight.view = self.published.amended(View { headers, state });
            state = flight.view.state.clone();
        }
    }

    /// Whoever holds the pool sees the head it has followed: both change as one.
    pub(super) fn tell_pool(
        &mut self,
        (disconnected, connected): (&Bodies<L>, &Bodies<L>),
        steps: &[Step],
        now: Timestamp,
    ) {
        let change = HeadChange { disconnected, connected, steps, head: &self.head_view(), now };
        let mut pool = self.published.pool.write();
        let told = pool.head_changed(&self.parts.ledger, &change);
        if told.is_err() {
            // It stopped half-way: an empty pool is poorer than a wrong one, and right.
            *pool = L::Pool::default();
        }
        *self.published.head.write() = self.head.clone();
        drop(pool);
        if let Err(fault) = told {
            self.note_fault(&fault);
        }
    }

    /// Nothing is left to do: whoever still waits is answered with what is known.
    fn settle(&mut self) {
        self.arrive();
        let is_idle = |id: &BlockId| self.published.headers(id).is_none_or(|block| !self.is_awaited(&block));
        let waiting: Vec<_> = self.waiting.keys().copied().filter(is_idle).collect();
        for id in waiting {
            let verdict = match self.status(&id) {
                Some(Status::Invalid(reason)) => Err(Reject::Invalid(reason)),
                Some(Status::Valid) => Ok(Imported::Valid),
                _ => Ok(Imported::Stored),
            };
            self.answer(id, &verdict);
        }
        for (id, reply) in core::mem::take(&mut self.settling) {
            let verdict = match id.and_then(|id| self.status(&id)) {
                Some(Status::Invalid(reason)) => Err(Reject::Invalid(reason)),
                _ => Ok(()),
            };
            drop(reply.send(verdict));
        }
    }
}
