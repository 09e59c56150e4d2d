//! A consumer of events as an index or a wallet is one: it follows, it is told things twice, it dies (law L12). Whatever it has
//! seen, its node knows again after a power cut.

use std::collections::BTreeMap;

use chainwright_chain::{Cursor, Delta, Event, Ledger, Published, TableId};

use crate::Random;

type Table = BTreeMap<(TableId, Vec<u8>), Vec<u8>>;

/// A copy of all rows, kept by events alone.
pub(crate) struct Consumer<L: Ledger> {
    random: Random,
    table: Table,
    cursor: Option<Cursor>,
    /// What it would find after a crash.
    saved: (Table, Option<Cursor>),
    ledger: core::marker::PhantomData<fn() -> L>,
}

impl<L: Ledger> Consumer<L> {
    pub(crate) fn new(random: Random) -> Self {
        let saved = (Table::new(), None);
        Self { random, table: Table::new(), cursor: None, saved, ledger: core::marker::PhantomData }
    }

    /// Loses what it did not save.
    pub(crate) fn crash(&mut self) {
        (self.table, self.cursor) = self.saved.clone();
    }

    /// What it would find after a crash is what it knows now.
    pub(crate) fn save(&mut self) {
        self.saved = (self.table.clone(), self.cursor);
    }

    pub(crate) fn maybe_follow(&mut self, published: &Published<L>) -> Result<(), String> {
        match self.random.below(10) {
            0 => self.crash(),
            1 => self.save(),
            2..6 => {
                let limit = 1 + self.random.index(9);
                self.follow(published, limit)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Follows some events; true when there are no more.
    pub(crate) fn follow(&mut self, published: &Published<L>, limit: usize) -> Result<bool, String> {
        let events = published.events(self.cursor, limit).map_err(|fault| format!("L12: {fault}"))?;
        let done = events.is_empty();
        for event in events {
            let (block, delta) = match event {
                Event::Connected(block) => (block.cursor, block.delta),
                Event::Disconnected(block) => (block.cursor, block.delta.inverse()),
            };
            self.step(&delta)?;
            self.cursor = Some(block);
        }
        Ok(done)
    }

    fn step(&mut self, delta: &Delta) -> Result<(), String> {
        for change in delta.iter() {
            let key = (change.table, change.key.to_vec());
            let before = match change.new {
                Some(new) => self.table.insert(key, new.to_vec()),
                None => self.table.remove(&key),
            };
            if before.as_deref() != change.old {
                return Err("L12: an event's delta does not fit the events before".to_owned());
            }
        }
        Ok(())
    }

    /// All rows, as the events tell them.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (TableId, &[u8], &[u8])> {
        self.table.iter().map(|((table, key), value)| (*table, &key[..], &value[..]))
    }

    pub(crate) fn row_count(&self) -> usize {
        self.table.len()
    }
}
