//! What engines, operators and clients ask for, apart from importing.

use std::sync::Arc;

use super::records::Record;
use super::{Driver, Verdict};
use crate::tree::Status;
use crate::{
    Admission, Attributes, Block, BlockId, Candidate, Fault, Header, Headers, Jobs, Ledger, Notice, Pool,
    PoolContext, Proof, Reason, Refusal, Reject, Timestamp, Transaction, View,
};

impl<L: Ledger> Driver<L> {
    pub(super) fn known(&self, id: BlockId) -> Result<Headers<L>, Reject> {
        self.published.headers(&id).ok_or(Reject::MissingParent(id))
    }

    pub(super) fn check(&mut self, block: L::Block) -> Result<(), Reject> {
        let parent = self.view_at(block.header().parent())?;
        self.parts.ledger.check_header(block.header(), &parent.headers)?;
        let prepared = Arc::new(self.parts.ledger.prepare(block)?);
        self.parts.ledger.check_body(&prepared, &parent.headers)?;
        let mut jobs = Jobs::default();
        let executed = self.parts.ledger.execute(&parent, &prepared, &mut jobs)?;
        jobs.run().map_err(Reject::Invalid)?;
        let delta = self.published.amendments.read().under(&parent, executed.delta);
        match prepared.block.header().state_root() {
            Some(root) => self.roots.check(&parent.headers, &delta, root),
            None => Ok(()),
        }
    }

    /// The head, or a block of its branch, or one in flight.
    fn view_at(&self, id: BlockId) -> Result<View<L>, Reject> {
        if id == self.head.headers.id() {
            return Ok(self.head_view());
        }
        if let Some(flight) = self.flights.iter().find(|flight| flight.view.headers.id() == id) {
            return Ok(flight.view.clone());
        }
        let headers = self.known(id)?;
        if !self.head.headers.contains(&headers) {
            return Err(Fault::new(format!("block {} is not executed", L::show_id(&id.0))).into());
        }
        if self.reach(&headers)?.id() != id {
            return Err(Fault::new(format!("block {} is too far below the head", L::show_id(&id.0))).into());
        }
        Ok(self.rewound(&headers)?)
    }

    pub(super) fn build(&mut self, parent: Option<BlockId>, on: &Attributes) -> Result<Candidate<L>, Reject> {
        let parent = self.view_at(parent.unwrap_or_else(|| self.head.headers.id()))?;
        let (mut block, executed) = {
            let pool = self.published.pool.read();
            self.parts.ledger.build(&parent, on, &pool)?
        };
        let delta = self.published.amendments.read().under(&parent, executed.delta.clone());
        if block.header().state_root().is_some()
            && let Some(root) = self.roots.after(&parent.headers, &delta)?
        {
            block.header_mut().set_state_root(root);
        }
        Ok(Candidate { block, executed })
    }

    pub(super) fn submit(
        &mut self,
        tx: Arc<L::Tx>,
        dry_run: bool,
        now: Timestamp,
    ) -> Result<Admission, Refusal> {
        let pooled = Notice::Pooled { id: tx.id(), relay_id: tx.relay_id() };
        let context = PoolContext { head: &self.head_view(), now, dry_run };
        let admission = self.published.pool.write().submit(&self.parts.ledger, tx, &context)?;
        if !dry_run {
            self.published.notify(pooled);
        }
        Ok(admission)
    }

    pub(super) fn prefer(&mut self, id: BlockId, reply: Verdict<()>, now: Timestamp) {
        match self.status(&id) {
            None | Some(Status::Header) => drop(reply.send(Err(Reject::MissingParent(id)))),
            Some(Status::Invalid(reason)) => drop(reply.send(Err(Reject::Invalid(reason)))),
            Some(_) => {
                self.published.tree.write().prefer(Some(id));
                self.settling.push((Some(id), reply));
                self.advance(now);
            }
        }
    }

    pub(super) fn set_safe(&mut self, id: BlockId) -> Result<(), Reject> {
        let block = self.known(id)?;
        if !self.head.headers.contains(&block) {
            return Err(Reject::invalid("not-in-chain"));
        }
        self.published.tree.write().set_safe(block);
        Ok(())
    }

    pub(super) fn finalize(&mut self, id: BlockId, proof: Proof, reply: Verdict<()>, now: Timestamp) {
        let block = match self.check_finalize(id, &proof) {
            Ok(block) => block,
            Err(reject) => return drop(reply.send(Err(reject))),
        };
        if !self.is_followed(&block) {
            self.published.tree.write().prefer(Some(id));
        }
        self.finalizing.push((id, proof, reply));
        self.finalize_connected();
        self.advance(now);
    }

    /// Whether the pipeline or the engine's last choice leads through a block already.
    fn is_followed(&self, block: &Headers<L>) -> bool {
        let tip = self.flights.back().map_or(&self.head, |flight| &flight.view);
        let tree = self.published.tree.read();
        tip.headers.contains(block) || tree.preferred().is_some_and(|preferred| preferred.contains(block))
    }

    fn check_finalize(&self, id: BlockId, proof: &Proof) -> Result<Headers<L>, Reject> {
        let block = self.known(id)?;
        match self.status(&id) {
            None | Some(Status::Header) => return Err(Reject::MissingParent(id)),
            Some(Status::Invalid(reason)) => return Err(Reject::Invalid(reason)),
            Some(_) => {}
        }
        let epoch = self.parts.consensus.epoch(block.height());
        let validators = self.parts.ledger.validators(&self.head, epoch)?;
        self.parts.consensus.check_proof(id, block.height(), proof, &validators)?;
        let conflicts = |done: Headers<L>| !done.contains(&block) && !block.contains(&done);
        if self.published.finalized().is_some_and(conflicts) {
            return Err(Reject::invalid("conflicts-with-finalized"));
        }
        Ok(block)
    }

    /// Completes finalizations whose blocks have been published: durable first, then answered.
    pub(super) fn finalize_connected(&mut self) {
        let (ready, waiting): (Vec<_>, Vec<_>) =
            core::mem::take(&mut self.finalizing).into_iter().partition(|(id, _, _)| {
                self.published.headers(id).is_some_and(|block| self.head.headers.contains(&block))
            });
        self.finalizing = waiting;
        for (id, proof, reply) in ready {
            drop(reply.send(self.make_final(id, proof).map_err(Reject::Fault)));
        }
    }

    fn make_final(&mut self, id: BlockId, proof: Proof) -> Result<(), Fault> {
        let Some(block) = self.published.headers(&id) else { return Ok(()) };
        if self.published.finalized().is_some_and(|done| done.contains(&block)) {
            return Ok(());
        }
        self.parts.store.put_record(&Record::Finalized(id, proof.clone()).encode())?;
        self.sync()?;
        self.published.tree.write().set_finalized(block.clone());
        self.published.proofs.write().insert(id, proof);
        self.published.notify(Notice::Finalized(id, block.height()));
        Ok(())
    }

    pub(super) fn invalidate(&mut self, id: BlockId, reply: Verdict<()>, now: Timestamp) {
        if let Err(reject) = self.check_invalidate(id) {
            return drop(reply.send(Err(reject)));
        }
        self.mark_invalid(id, Reason::new("invalidated-by-operator"));
        self.published.tree.write().refill_candidates();
        self.settling.push((None, reply));
        self.advance(now);
    }

    fn check_invalidate(&self, id: BlockId) -> Result<(), Reject> {
        let block = self.known(id)?;
        let is_final = |done: Headers<L>| done.contains(&block);
        if self.published.base().contains(&block) && block.parent().is_some() {
            return Err(Reject::invalid("before-the-imported-state"));
        }
        if block.parent().is_none() || self.published.finalized().is_some_and(is_final) {
            return Err(Reject::invalid("finalized"));
        }
        Ok(())
    }

    pub(super) fn reconsider(&mut self, id: BlockId, reply: Verdict<()>, now: Timestamp) {
        let known = self.known(id).and_then(|_| {
            // Were this record lost with the power, and not the verdict before it, the block would stay invalid for ever.
            self.parts.store.put_record(&Record::Reconsidered(id).encode())?;
            self.sync().map_err(Reject::Fault)
        });
        if let Err(reject) = known {
            return drop(reply.send(Err(reject)));
        }
        let bodies = Arc::clone(&self.published.bodies);
        let mut tree = self.published.tree.write();
        tree.reconsider(id, |id| bodies.has_body(id));
        tree.refill_candidates();
        drop(tree);
        self.settling.push((None, reply));
        self.advance(now);
    }
}
