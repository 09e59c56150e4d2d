//! Moving the frozen window to disk.

use chainwright_chain::Fault;

use super::index::Commit;
use super::place::{Move, Place};
use super::values::{Found, ValueWriter};
use super::window::WindowRow;
use super::{Index, Moves, OrderedChange, SHARDS, Table};
use crate::marks::Marks;

/// Rows looked up under one lock.
const LOOKUPS: usize = 64;

/// A window that is on its way to disk. Its point rows are in the shards.
pub(crate) struct Frozen {
    /// The rows stood so after this step, which is synced in the journal before the flush begins.
    pub(crate) step: u64,
    pub(crate) ordered: Vec<OrderedChange>,
}

impl Table {
    /// Writes the frozen window: rows, sync, index, sync; then lets the index take over.
    ///
    /// # Errors
    /// A [`Fault`]; the window stays frozen and the flush can be tried again.
    pub(crate) fn flush(&self, index: &mut Index, frozen: &Frozen, marks: &Marks) -> Result<(), Fault> {
        let mut writer = ValueWriter::new(&self.values, index.tail);
        let written = self.write_rows(&mut writer).and_then(|moves| Ok((moves, writer.finish()?)));
        let (moves, tail) = written.inspect_err(|_| writer.undo())?;
        let (added, ordered) = (&writer.added, frozen.ordered.as_slice());
        let commit = Commit { step: frozen.step, tail, moves: &moves, added, ordered };
        if let Err(fault) = index.commit(&commit, marks) {
            if index.is_usable() {
                writer.undo();
            }
            return Err(fault);
        }
        self.retire(&moves);
        Ok(())
    }

    fn write_rows(&self, writer: &mut ValueWriter<'_>) -> Result<Moves, Fault> {
        let mut all = Vec::with_capacity(SHARDS);
        for shard in 0..SHARDS {
            let Some(window) = self.frozen(shard) else {
                all.push(Vec::new());
                continue;
            };
            let mut moves = Vec::with_capacity(window.len());
            let rows: Vec<_> = window.iter().collect();
            for rows in rows.chunks(LOOKUPS) {
                let places: Vec<_> = {
                    let shard = self.shards[shard].read();
                    rows.iter().map(|row| shard.only_place(row.tag)).collect()
                };
                for (row, place) in rows.iter().zip(places) {
                    let key = window.key(row);
                    let old = match place {
                        Ok(place) if row.covers || place.is_none() => place,
                        _ => self.place_of(shard, row, key)?,
                    };
                    let mut new = None;
                    if row.exists {
                        new = Some(writer.append_row(row.table, key, window.value(row))?);
                    }
                    if old.is_some() || new.is_some() {
                        moves.push(Move { tag: row.tag, old, new });
                    }
                }
            }
            all.push(moves);
        }
        Ok(all)
    }

    /// Where the index has the row's key, when its tag alone cannot tell.
    fn place_of(&self, shard: usize, row: &WindowRow, key: &[u8]) -> Result<Option<Place>, Fault> {
        let places = self.shards[shard].read().places(row.tag);
        for place in places {
            if matches!(self.values.read(place, row.table, key)?, Found::Value(_)) {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }
}
