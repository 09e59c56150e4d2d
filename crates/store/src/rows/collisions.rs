//! A shard in which nearly all tags collide, beside plain maps.

use std::collections::BTreeMap;

use chainwright_chain::{Change, TableId};

use super::place::{Move, Place, Whereabouts};
use super::shard::{Shard, Sought};

const TABLE: TableId = TableId(0);
const KEYS: u64 = 12;

#[derive(Default)]
struct World {
    shard: Shard,
    random: u64,
    /// What is on disk, and where.
    disk: BTreeMap<u32, (u64, Vec<u8>)>,
    next: u32,
    /// How the rows stand.
    rows: BTreeMap<u64, Vec<u8>>,
}

fn tag(key: u64) -> u64 {
    key % 3
}

fn place(offset: u32) -> Place {
    Place { segment: 1, offset }
}

impl World {
    fn below(&mut self, bound: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound
    }

    fn set(&mut self) {
        let key = self.below(KEYS);
        let new = (self.below(3) > 0).then(|| vec![self.below(256) as u8; self.below(40) as usize]);
        let old = self.rows.get(&key).cloned();
        if old == new {
            return;
        }
        let bytes = key.to_le_bytes();
        let change = Change { table: TABLE, key: &bytes, old: old.as_deref(), new: new.as_deref() };
        self.shard.set([(tag(key), change)].into_iter());
        match new {
            Some(new) => drop(self.rows.insert(key, new)),
            None => drop(self.rows.remove(&key)),
        }
    }

    fn append(&mut self, key: u64, value: Vec<u8>) -> Place {
        self.next += 1;
        self.disk.insert(self.next, (key, value));
        place(self.next)
    }

    fn flush(&mut self) {
        let Some(frozen) = self.shard.frozen() else { return self.shard.freeze() };
        let mut moves = Vec::new();
        for (_, row) in frozen.iter() {
            let key = u64::from_le_bytes(*row.key.first_chunk().expect("keys are eight bytes long"));
            let old = match row.below.whereabouts() {
                Whereabouts::Unclear => {
                    let places = self.shard.places(row.tag);
                    // What a row before this one has replaced is still there until all are written.
                    places
                        .into_iter()
                        .find(|place| self.disk.get(&place.offset).is_some_and(|(of, _)| *of == key))
                }
                _ => row.below.place(),
            };
            if let Some(old) = old {
                assert_eq!(self.disk.remove(&old.offset).map(|(key, _)| key), Some(key));
            }
            let new = row.value().map(|value| self.append(key, value.to_vec()));
            moves.push(Move { tag: row.tag, old, new });
        }
        self.shard.retire(moves.into_iter());
    }

    /// Moves a row on disk, while no window is frozen.
    fn compact(&mut self) {
        let at = self.below(KEYS) as usize;
        let Some((&old, _)) = self.disk.iter().nth(at).filter(|_| self.shard.frozen().is_none()) else {
            return;
        };
        let (key, value) = self.disk.remove(&old).expect("was just found");
        let new = self.append(key, value);
        self.shard.relocate(Move { tag: tag(key), old: Some(place(old)), new: Some(new) });
    }

    fn check(&self) {
        for key in 0..KEYS {
            let found = match self.shard.seek(tag(key), TABLE, &key.to_le_bytes()) {
                Sought::Known(value) => value.map(|value| value.to_vec()),
                Sought::OnDisk(_) => {
                    let on_disk =
                        self.shard.places(tag(key)).into_iter().map(|place| &self.disk[&place.offset]);
                    on_disk.into_iter().find(|(of, _)| *of == key).map(|(_, value)| value.clone())
                }
            };
            assert_eq!(found.as_ref(), self.rows.get(&key), "key {key}");
        }
        let mut on_disk: Vec<_> =
            self.shard.on_disk().filter_map(|slot| Some(slot.place()?.offset)).collect();
        on_disk.sort_unstable();
        assert!(on_disk.iter().eq(self.disk.keys()), "a checkpoint would say something else than the disk");
    }
}

#[test]
fn rows_whose_tags_collide_are_told_apart() {
    for seed in 0..40 {
        let mut world = World { random: seed, ..World::default() };
        for _ in 0..400 {
            match world.below(10) {
                0 | 1 => world.flush(),
                2 => world.compact(),
                _ => world.set(),
            }
            world.check();
        }
    }
}
