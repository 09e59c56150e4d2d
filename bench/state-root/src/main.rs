//! Measures Ethereum's state trie: `cargo run --release -p chainwright-bench-state-root -- [ACCOUNTS] [BLOCKS] [TOUCHED]
//! [SLOTS]`.
//!
//! Loads ACCOUNTS rows (1 million unless told; every tenth a contract with SLOTS slots of storage, none unless told),
//! then follows BLOCKS deltas (40, after five that are not measured) that each touch TOUCHED accounts (5,000) and asks
//! for the root after each. One in fifty of the touched accounts is new, one in two hundred is removed. Then it goes all
//! the way back and compares the root with the first. Rows are made up beforehand, so that the trie alone is measured;
//! what a scan of the same rows costs without a trie is taken off the time of loading. The figure to quote is the median
//! of several runs.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, KECCAK256_EMPTY, U256, keccak256};
use chainwright_chain::{Change, Delta, Fault, Index, Row, Rows, StateView, TableId, Timeline, Value, Visit};
use chainwright_evm::state::{ACCOUNTS, AccountRow, STORAGE, StorageRow, TABLES, account_key, storage_key};
use chainwright_evm::trie::StateTrie;

/// Blocks that warm caches and are not measured.
const WARM_UP: u64 = 5;
/// Branches that are hashed for comparison.
const HASHES: u64 = 200_000;
/// Every so many-th account is a contract.
const CONTRACT_EVERY: u64 = 10;

fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn address(number: u64) -> Address {
    Address::left_padding_from(&mix(number).to_be_bytes())
}

/// The row of an account after it was touched so many times.
fn row(number: u64, touched: u64) -> Value {
    let balance = U256::from(mix(number ^ (touched << 40))) << 20;
    let is_contract = number.is_multiple_of(CONTRACT_EVERY);
    let code_hash = if is_contract { keccak256(number.to_be_bytes()) } else { KECCAK256_EMPTY };
    AccountRow { address: address(number), nonce: touched + 1, balance, code_hash }.encode()
}

/// A state of accounts that nobody has touched.
struct Untouched {
    accounts: Vec<([u8; 32], Value)>,
    /// In key order.
    slots: Vec<([u8; 64], Value)>,
}

impl Untouched {
    fn new(count: u64, slots_each: u64) -> Self {
        let accounts = (0..count).map(|number| (account_key(&address(number)), row(number, 0))).collect();
        let mut slots = Vec::new();
        for number in (0..count).filter(|number| slots_each > 0 && number.is_multiple_of(CONTRACT_EVERY)) {
            let account = account_key(&address(number));
            for slot in (0..slots_each).map(U256::from) {
                let row = StorageRow { slot, value: U256::from(mix(number)) };
                slots.push((storage_key(&account, slot), row.encode()));
            }
        }
        slots.sort_unstable_by_key(|(key, _)| *key);
        Self { accounts, slots }
    }
}

impl Rows for Untouched {
    fn get(&self, _: TableId, _: &[u8]) -> Result<Option<Value>, Fault> {
        Err(Fault::new("a trie looks up no row"))
    }

    fn range(&self, table: TableId, from: &[u8], _: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        if table != STORAGE {
            return Err(Fault::new("only storage is ordered"));
        }
        let start = self.slots.partition_point(|(key, _)| key.as_slice() < from);
        let rows = self.slots[start..].iter().take(limit);
        Ok(rows.map(|(key, value)| (Value::from_slice(key), value.clone())).collect())
    }

    fn scan(&self, table: TableId, visit: Visit<'_>) -> Result<(), Fault> {
        let rows = if table == ACCOUNTS { &self.accounts[..] } else { &[] };
        rows.iter().try_for_each(|(key, value)| visit(key, value))
    }
}

/// Accounts and how often each was touched; `None` for what is not there.
struct Accounts(Vec<Option<u64>>);

impl Accounts {
    /// A block that touches so many different accounts.
    fn touch(&mut self, block: u64, count: u64) -> Delta {
        let mut seen = HashSet::new();
        let mut changes = Vec::new();
        let mut draw = block << 32;
        while (changes.len() as u64) < count {
            draw += 1;
            if draw.is_multiple_of(50) {
                self.0.push(None);
            }
            let at = if draw.is_multiple_of(50) {
                self.0.len() - 1
            } else {
                (mix(draw) % self.0.len() as u64) as usize
            };
            if !seen.insert(at) {
                continue;
            }
            let old = self.0[at];
            let new =
                if draw.is_multiple_of(200) { None } else { Some(old.map_or(0, |touched| touched + 1)) };
            self.0[at] = new;
            let bytes = |touched: Option<u64>| touched.map(|touched| row(at as u64, touched));
            changes.push((account_key(&address(at as u64)), bytes(old), bytes(new)));
        }
        Delta::from_changes(changes.iter().map(|(key, old, new)| Change {
            table: ACCOUNTS,
            key,
            old: old.as_deref(),
            new: new.as_deref(),
        }))
    }
}

/// Time that has passed and time of the processors, of all threads.
#[derive(Clone, Copy, Default)]
struct Spent {
    wall: Duration,
    cpu: Duration,
}

impl Spent {
    fn on<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (started, cpu) = (Instant::now(), cpu());
        let done = work();
        self.wall += started.elapsed();
        self.cpu += self::cpu().saturating_sub(cpu);
        done
    }

    fn without(self, other: Self) -> Self {
        Self { wall: self.wall.saturating_sub(other.wall), cpu: self.cpu.saturating_sub(other.cpu) }
    }

    /// In microseconds each, for so many things.
    fn each(self, count: u64) -> String {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
        format!("{:.2} µs of processor, {:.2} µs wall", each(self.cpu), each(self.wall))
    }
}

impl core::fmt::Display for Spent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:.2} s of processor, {:.2} s wall", self.cpu.as_secs_f64(), self.wall.as_secs_f64())
    }
}

/// Processor time of all threads, in hundredths of a second.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// The part of it that is Keccak-256, to know the machine by: full branches, 532 bytes of RLP each.
fn hashing() -> Spent {
    let mut spent = Spent::default();
    let mut branch = [0x5a; 532];
    spent.on(|| {
        for _ in 0..HASHES {
            let hash = keccak256(branch);
            branch[..32].copy_from_slice(hash.as_slice());
        }
    });
    spent
}

fn argument(at: usize, default: u64) -> Result<u64, Box<dyn Error>> {
    Ok(std::env::args().nth(at).map(|text| text.parse()).transpose()?.unwrap_or(default))
}

/// Loads, follows all deltas with a root after each, and goes all the way back.
fn measure(view: &StateView, deltas: &[Delta], threads: usize, scan: Spent) -> Result<(), Box<dyn Error>> {
    let (mut load, mut hash) = (Spent::default(), Spent::default());
    let mut trie = load.on(|| StateTrie::load(view))?.with_threads(threads);
    let first = hash.on(|| trie.root())?;
    println!("{threads} threads: load {}; first root {hash}", load.without(scan));
    let (count, memory) = (trie.len(), trie.memory());
    println!("{threads} threads: {:.1} MB, {} B per account", memory as f64 / 1e6, memory / count.max(1));
    let (warm, measured) = deltas.split_at(WARM_UP as usize);
    for delta in warm {
        trie.follow(delta);
        trie.root()?;
    }
    let mut spent = Spent::default();
    let touched: u64 = measured.iter().map(|delta| delta.iter().count() as u64).sum();
    spent.on(|| {
        measured.iter().try_for_each(|delta| {
            trie.follow(delta);
            trie.root().map(drop)
        })
    })?;
    println!("{threads} threads: per touched account {}", spent.each(touched));
    println!("{threads} threads: per block {}", spent.each(measured.len() as u64));
    let mut back = Spent::default();
    let last = back.on(|| {
        deltas.iter().rev().for_each(|delta| trie.follow(&delta.inverse()));
        trie.root()
    })?;
    println!("{threads} threads: back over {} blocks, and one root: {back}", deltas.len());
    if last == first { Ok(()) } else { Err("the way back leads to another root".into()) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (count, blocks) = (argument(1, 1_000_000)?, argument(2, 40)?);
    let (touched, slots) = (argument(3, 5_000)?, argument(4, 0)?);
    let rows = Arc::new(Untouched::new(count, slots));
    let view = StateView::new(TABLES, rows.clone(), Timeline::new().pin());
    println!("{count} accounts, {} slots, {touched} touched per block, {blocks} blocks", rows.slots.len());
    let mut accounts = Accounts((0..count).map(|_| Some(0)).collect());
    let deltas: Vec<_> = (0..blocks + WARM_UP).map(|block| accounts.touch(block, touched)).collect();
    let mut scan = Spent::default();
    let mut bytes = 0;
    scan.on(|| {
        view.scan(ACCOUNTS, &mut |_, value| {
            bytes += value.len();
            Ok(())
        })
    })?;
    println!("rows hold {:.1} MB", bytes as f64 / 1e6);
    println!("a full branch alone is hashed in {}", hashing().each(HASHES));
    measure(&view, &deltas, 1, scan)?;
    measure(&view, &deltas, std::thread::available_parallelism()?.get(), scan)
}
