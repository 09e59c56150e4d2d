//! Changing the state by hand, and going back to an older block for good: for development chains alone.

use bytes::Bytes;

use super::records::Record;
use super::{Driver, Verdict};
use crate::amend::is_on;
use crate::{Amendment, BlockId, Delta, Fault, Headers, Ledger, Reject, Step, Timestamp, View};

/// What waits until nothing is in flight.
pub(super) enum Revision<L: Ledger> {
    /// Change the state the head left.
    Amend(Amendment<L>),
    /// Go back to a block with the changes that were made there.
    Rewind(BlockId, Delta),
}

impl<L: Ledger> Driver<L> {
    /// The head as readers see it.
    pub(super) fn head_view(&self) -> View<L> {
        self.published.amended(self.head.clone())
    }

    pub(super) fn revise(&mut self, revision: Revision<L>, reply: Verdict<()>, now: Timestamp) {
        if !self.parts.ledger.is_amendable() {
            return drop(reply.send(Err(Reject::invalid("not-a-development-chain"))));
        }
        self.revisions.push_back((revision, reply));
        self.revise_waiting(now);
    }

    /// Carries out what waits, if nothing is in flight.
    pub(super) fn revise_waiting(&mut self, now: Timestamp) {
        while self.is_idle()
            && let Some((revision, reply)) = self.revisions.pop_front()
        {
            let verdict = match revision {
                Revision::Amend(change) => self.amend(change, now).map_err(Reject::Fault),
                Revision::Rewind(to, delta) => self.begin_rewind(to, delta, now),
            };
            if verdict.is_ok() && self.rewinding.is_some() {
                // Answered once the pipeline has arrived.
                self.settling.push((None, reply));
                self.advance(now);
            } else {
                drop(reply.send(verdict));
            }
        }
    }

    /// Notes the end of a way back: after a crash from here on nothing goes back any more.
    pub(super) fn arrive(&mut self) {
        let head = self.head.headers.id();
        if self.rewinding.take_if(|to| *to == head).is_some()
            && let Err(fault) = self.parts.store.put_record(&Record::Arrived(head).encode())
        {
            self.note_fault(&fault);
        }
    }

    fn amend(&mut self, change: Amendment<L>, now: Timestamp) -> Result<(), Fault> {
        let delta = change(&self.head_view())?;
        if delta.iter().next().is_none() {
            return Ok(());
        }
        let id = self.head.headers.id();
        self.parts.store.put_record(&Record::Amended(id, encoded(&delta)).encode())?;
        let is_ordered = |table| self.head.state.is_ordered(table);
        self.published.amendments.write().add(id, &delta, is_ordered);
        self.head_amended(delta, now);
        Ok(())
    }

    /// Lets everybody see that the state above the head is another.
    fn head_amended(&mut self, delta: Delta, now: Timestamp) {
        let id = self.head.headers.id();
        self.base = self.head_view();
        let step = Step { from: id, to: id, delta, receipts: Bytes::new() };
        self.tell_pool((&Vec::new(), &Vec::new()), &[step], now);
    }

    /// Writes down where the chain goes back to; the pipeline does the rest.
    fn begin_rewind(&mut self, to: BlockId, delta: Delta, now: Timestamp) -> Result<(), Reject> {
        let block = self.known(to)?;
        let head = self.head.headers.clone();
        if !head.contains(&block) {
            return Err(Reject::invalid("not-in-chain"));
        }
        if block.height() < self.published.base().height() {
            return Err(Reject::invalid("before-the-imported-state"));
        }
        if head.weight() != block.weight() {
            // Whatever lies above would lead again at once.
            return Err(Reject::invalid("blocks-have-weight"));
        }
        self.parts.store.put_record(&Record::Rewound(to, encoded(&delta)).encode())?;
        let before = self.published.amendments.read().of(&head.id()).cloned().unwrap_or_else(Delta::empty);
        self.published.rewind(&block, delta.clone());
        self.rewinding = Some(to);
        if head.id() == to {
            let is_ordered = |table| self.head.state.is_ordered(table);
            self.head_amended(Delta::merged([&before.inverse(), &delta], is_ordered), now);
        }
        Ok(())
    }
}

fn encoded(delta: &Delta) -> Bytes {
    let mut out = Vec::new();
    delta.encode(&mut out);
    Bytes::from(out)
}

impl<L: Ledger> crate::Published<L> {
    /// Goes back to a block of the chain: it is the last one that is final, and what was changed by hand above it never was.
    pub(crate) fn rewind(&self, to: &Headers<L>, delta: Delta) {
        let mut tree = self.tree.write();
        tree.rewind(to.clone());
        let known = |id: &BlockId| tree.get(id).map(|entry| entry.headers.clone());
        self.amendments.write().rewind(to.id(), delta, |id| is_on(to, known(id)));
    }
}
