//! Moving the frozen window to disk.

use chainwright_chain::Fault;

use super::index::Commit;
use super::moves::Moves;
use super::place::{Move, Place, Whereabouts};
use super::values::{Found, ValueWriter};
use super::window::WindowRow;
use super::{Index, OrderedChange, SHARDS, Table};
use crate::marks::Marks;

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
        let (mut moves, tail) = written.inspect_err(|_| writer.undo())?;
        moves.add_ordered(&frozen.ordered);
        let commit = Commit { step: frozen.step, tail, moves: &moves, added: &writer.added };
        if let Err(fault) = index.commit(&commit, marks) {
            if index.is_usable() {
                writer.undo();
            }
            return Err(fault);
        }
        self.retire(&moves);
        Ok(())
    }

    /// Makes one move per row, in the order of the windows.
    fn write_rows(&self, writer: &mut ValueWriter<'_>) -> Result<Moves, Fault> {
        let rows = (0..SHARDS).filter_map(|shard| self.frozen(shard)).map(|window| window.len()).sum();
        let mut moves = Moves::with_capacity(rows);
        for shard in 0..SHARDS {
            if let Some(window) = self.frozen(shard) {
                for (_, row) in window.iter() {
                    let old = match row.below.whereabouts() {
                        Whereabouts::Unclear => self.place_of(shard, &row)?,
                        _ => row.below.place(),
                    };
                    let new = row.value().map(|value| writer.append_row(row.table, row.key, value));
                    moves.push(Move { tag: row.tag, old, new: new.transpose()? });
                }
            }
            moves.end_shard();
        }
        Ok(moves)
    }

    /// Where the row is on disk, when its tag alone cannot tell.
    fn place_of(&self, shard: usize, row: &WindowRow<'_>) -> Result<Option<Place>, Fault> {
        let places = self.shards[shard].read().places(row.tag);
        for place in places {
            if matches!(self.values.read(place, row.table, row.key)?, Found::Value(_)) {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }
}
