//! Headers and bodies on their way in.

use std::sync::Arc;

use bytes::Bytes;

use super::records::Record;
use super::{Driver, Message, Verdict};
use crate::tree::Status;
use crate::{
    Block, BlockId, Codec, Executed, Header, Headers, HeadersImported, Imported, Ledger, Notice, Prepared,
    Reject, Timestamp,
};

impl<L: Ledger> Driver<L> {
    pub(super) fn import_headers(
        &mut self,
        headers: Vec<L::Header>,
        now: Timestamp,
    ) -> Result<HeadersImported, Reject> {
        let best = self.published.best_header();
        let mut fresh = 0;
        let mut last = BlockId::ZERO;
        let mut result = Ok(());
        for header in headers {
            let known = self.published.headers(&header.id()).is_some();
            match self.accept_header(header, now) {
                Ok(accepted) => last = accepted.id(),
                Err(reject) => {
                    self.note_if_fault(&reject);
                    result = Err(reject);
                    break;
                }
            }
            fresh += usize::from(!known);
        }
        self.notice_best_header(&best);
        result.map(|()| HeadersImported { fresh, last })
    }

    fn notice_best_header(&self, before: &Headers<L>) {
        let best = self.published.best_header();
        if best.id() != before.id() {
            self.published.notify(Notice::BestHeader(best.id(), best.height()));
        }
    }

    /// The branch that ends with this header, now part of the tree.
    fn accept_header(&mut self, header: L::Header, now: Timestamp) -> Result<Headers<L>, Reject> {
        let id = header.id();
        if let Some(known) = self.published.block(&id) {
            return match known.status {
                Status::Invalid(reason) => Err(Reject::Invalid(reason)),
                _ => Ok(known.headers),
            };
        }
        let parent = self.published.block(&header.parent()).ok_or(Reject::MissingParent(header.parent()))?;
        if let Status::Invalid(_) = parent.status {
            return Err(Reject::invalid("bad-prevblk"));
        }
        let parent = parent.headers;
        self.parts.consensus.check_header(&header, &parent, now)?;
        self.parts.ledger.check_header(&header, &parent)?;
        let record = Record::Header(Bytes::from(header.to_bytes()));
        self.parts.store.put_record(&record.encode())?;
        let weight = self.parts.consensus.weight(&header);
        let headers = parent.child(header, weight);
        self.published.tree.write().insert(headers.clone());
        Ok(headers)
    }

    pub(super) fn import(
        &mut self,
        block: L::Block,
        executed: Option<Executed<L>>,
        reply: Verdict<Imported>,
        now: Timestamp,
    ) {
        let best = self.published.best_header();
        let accepted = self.accept_header(block.header().clone(), now);
        self.notice_best_header(&best);
        let headers = match accepted {
            Ok(headers) => headers,
            Err(reject) => {
                self.note_if_fault(&reject);
                return drop(reply.send(Err(reject)));
            }
        };
        let id = headers.id();
        if !self.published.wants_body(&id) {
            return self.answer_known(id, reply);
        }
        if let Some(executed) = executed {
            self.built.insert(id, executed);
        }
        *self.preparing.entry(id).or_default() += 1;
        let ledger = Arc::clone(&self.parts.ledger);
        let inbox = self.parts.inbox.clone();
        self.parts.workers.spawn(Box::new(move || {
            let result = ledger.prepare(block).map(Arc::new);
            inbox(Message::Prepared { id, result, reply });
        }));
    }

    /// A body we have already: its verdict, if it still has to come, answers this call too.
    fn answer_known(&mut self, id: BlockId, reply: Verdict<Imported>) {
        match self.waiting.get_mut(&id) {
            Some(waiting) => waiting.push(reply),
            None => drop(reply.send(Ok(Imported::Known))),
        }
    }

    pub(super) fn body_prepared(
        &mut self,
        id: BlockId,
        result: Result<Arc<Prepared<L>>, Reject>,
        reply: Verdict<Imported>,
        now: Timestamp,
    ) {
        self.no_longer_preparing(id);
        match self.status(&id) {
            // Meanwhile the header or an ancestor fell, or the same body came twice.
            Some(Status::Invalid(reason)) => return drop(reply.send(Err(Reject::Invalid(reason)))),
            Some(Status::Header) => {}
            _ if self.published.wants_body(&id) => return self.restore_body(result, reply),
            _ => return self.answer_known(id, reply),
        }
        match result.and_then(|prepared| self.store_body(prepared)) {
            Ok(()) => {
                self.waiting.entry(id).or_default().push(reply);
                self.advance(now);
                self.answer_stored(id);
            }
            Err(reject) => {
                self.built.remove(&id);
                self.note_if_fault(&reject);
                if let Reject::Invalid(reason) = &reject {
                    self.mark_invalid(id, reason.clone());
                }
                drop(reply.send(Err(reject)));
                // Descendants may have waited for this body.
                self.advance(now);
            }
        }
    }

    fn note_if_fault(&self, reject: &Reject) {
        if let Reject::Fault(fault) = reject {
            self.note_fault(fault);
        }
    }

    fn no_longer_preparing(&mut self, id: BlockId) {
        if let Some(count) = self.preparing.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                self.preparing.remove(&id);
            }
        }
    }

    /// Whether the block only waits for a body that is being prepared: workers finish in any order.
    pub(super) fn is_awaited(&self, block: &Headers<L>) -> bool {
        /// More bodies than anybody hands in ahead. A thread that is held up may be passed by hundreds of small ones.
        const REACH: usize = 4096;
        if self.preparing.is_empty() {
            return false;
        }
        let tree = self.published.tree.read();
        let unlinked = |at: &Headers<L>| tree.get(&at.id()).is_some_and(|entry| !entry.linked);
        let way = block.down().take(REACH).take_while(unlinked);
        way.map(|at| at.id()).any(|id| self.preparing.contains_key(&id))
    }

    fn store_body(&mut self, prepared: Arc<Prepared<L>>) -> Result<(), Reject> {
        let id = prepared.id;
        let headers = self.published.headers(&id).ok_or(Reject::MissingParent(id))?;
        let parent = headers.parent().ok_or_else(|| Reject::invalid("second-genesis"))?;
        self.parts.ledger.check_body(&prepared, &parent)?;
        let bytes = prepared.block.to_bytes();
        self.parts.store.put_body(id, headers.height(), &bytes)?;
        self.published.tree.write().body_stored(id);
        self.keep_prepared(prepared, bytes.len());
        Ok(())
    }

    /// Keeps a prepared block for its execution, within limits: what is needed last, or was passed by, is read back if it ever
    /// counts.
    fn keep_prepared(&mut self, prepared: Arc<Prepared<L>>, bytes: usize) {
        self.prepared_bytes += bytes;
        self.prepared.insert(prepared.id, (bytes, prepared));
        let head = self.head.headers.height();
        while self.prepared.len() > self.parts.limits.prepared_blocks_max
            || self.prepared_bytes > self.parts.limits.prepared_bytes_max
        {
            let distance = |id: &BlockId| {
                let height = self.published.headers(id).map_or(head, |headers| headers.height());
                (if height > head { height.above(head) } else { u32::MAX }, *id)
            };
            let Some((_, farthest)) = self.prepared.keys().map(distance).max() else { return };
            self.forget_prepared(&farthest);
        }
    }

    pub(super) fn forget_prepared(&mut self, id: &BlockId) -> Option<Arc<Prepared<L>>> {
        let (bytes, prepared) = self.prepared.remove(id)?;
        self.prepared_bytes -= bytes;
        Some(prepared)
    }

    /// Answers a stored block that does not lead, so that nobody waits for an execution that may never come.
    fn answer_stored(&mut self, id: BlockId) {
        let tree = self.published.tree.read();
        let Some(entry) = tree.get(&id) else { return };
        let leads = tree.best_candidate().is_some_and(|best| best.contains(&entry.headers));
        let headers = entry.headers.clone();
        if entry.status == Status::Stored && !leads {
            drop(tree);
            if self.is_awaited(&headers) {
                return;
            }
            self.answer(id, &Ok(Imported::Stored));
        }
    }

    pub(super) fn answer(&mut self, id: BlockId, verdict: &Result<Imported, Reject>) {
        for reply in self.waiting.remove(&id).unwrap_or_default() {
            drop(reply.send(verdict.clone()));
        }
    }
}
