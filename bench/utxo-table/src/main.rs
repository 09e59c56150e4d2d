//! Measures the table of unspent outputs: `cargo run --release -p chainwright-bench-store -- [COINS] [BLOCKS] [FOLDER]
//! [WINDOW]`.
//!
//! Loads COINS rows (36-byte keys, 40-byte values; 5 million unless told), then runs BLOCKS blocks (1,000, after as many
//! that are not measured) of 5,000 spends of coins of any age and 5,000 creations through everything a node does with
//! them: read the spent coin, make the delta, journal it, apply it, flush and compact in the background. A created coin
//! is not looked for, as a node does not where a rule (BIP 34) says that it is new. WINDOW is the memory of changed rows
//! in MiB. Processor time is that of all threads; the figure to quote is the median of several runs.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::collections::VecDeque;
use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes_of_coins::{key, value};
use chainwright_chain::{
    BlockId, Draft, Rows, StateView, Step, Store, TableId, TableKind, TableSpec, Timeline, table,
};
use chainwright_store::{DiskStore, Identity, Options, RealDisk};

const COINS: TableId = TableId(0);
const TABLES: &[TableSpec] = &[table("coins", TableKind::Point)];
const SPENDS: u64 = 5_000;

mod bytes_of_coins {
    //! Coins that look random and can be made again from their number.

    fn mix(number: u64) -> u64 {
        let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn fill<const N: usize>(number: u64, salt: u64) -> [u8; N] {
        let mut bytes = [0; N];
        for (at, chunk) in bytes.chunks_mut(8).enumerate() {
            let word = mix(number.wrapping_mul(16) + at as u64 + salt).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        bytes
    }

    pub(crate) fn key(number: u64) -> [u8; 36] {
        fill(number, 0)
    }

    pub(crate) fn value(number: u64) -> [u8; 40] {
        fill(number, 8)
    }
}

/// What the operating system says of this process.
struct Usage {
    cpu: Duration,
    written: u64,
    resident: u64,
}

fn usage() -> Usage {
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    Usage {
        cpu: Duration::from_millis((ticks(11) + ticks(12)) * 10),
        written: field(&fs::read_to_string("/proc/self/io").unwrap_or_default(), "wchar:"),
        resident: field(&fs::read_to_string("/proc/self/status").unwrap_or_default(), "VmRSS:") * 1024,
    }
}

struct Bench {
    store: DiskStore,
    rows: Arc<dyn Rows>,
    timeline: Timeline,
    pins: VecDeque<chainwright_chain::Pin>,
    head: BlockId,
    blocks: u64,
    created: u64,
    /// Numbers of the coins that exist.
    alive: Vec<u64>,
    random: u64,
    background: Option<JoinHandle<()>>,
    /// Wall time of the writer's thread: reading and making the delta, journal, apply.
    parts: [Duration; 3],
}

impl Bench {
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn block(&mut self, spends: u64, creations: u64) -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        let view = StateView::new(TABLES, Arc::clone(&self.rows), self.timeline.pin());
        let mut draft = Draft::new(&view);
        for _ in 0..spends {
            let at = (self.random() % self.alive.len() as u64) as usize;
            let coin = self.alive.swap_remove(at);
            let found = draft.take(COINS, &key(coin))?;
            if found.as_deref() != Some(&value(coin)[..]) {
                return Err(format!("coin {coin} is wrong").into());
            }
        }
        for coin in self.created..self.created + creations {
            draft.create(COINS, &key(coin), &value(coin));
            self.alive.push(coin);
        }
        self.created += creations;
        self.blocks += 1;
        let mut to = BlockId::ZERO;
        to.0[..8].copy_from_slice(&self.blocks.to_le_bytes());
        let step = Step { from: self.head, to, delta: draft.finish(), receipts: Vec::new().into() };
        drop(view);
        let made = Instant::now();
        self.store.journal(std::slice::from_ref(&step))?;
        let journaled = Instant::now();
        self.timeline.publish(step.delta.clone());
        self.store.apply(&step);
        let times = [made - start, journaled - made, journaled.elapsed()];
        self.parts.iter_mut().zip(times).for_each(|(part, time)| *part += time);
        // A reader or two always look at older blocks.
        self.pins.push_back(self.timeline.pin());
        if self.pins.len() > 6 {
            self.pins.pop_front();
        }
        self.head = to;
        if let Some(task) = self.store.maintenance() {
            self.wait();
            self.background = Some(std::thread::spawn(task));
        }
        Ok(())
    }

    fn wait(&mut self) {
        if let Some(thread) = self.background.take() {
            thread.join().ok();
        }
    }

    fn settle(&mut self) -> Result<(), Box<dyn Error>> {
        self.wait();
        Ok(self.store.flush()?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |word| word.parse::<u64>());
    let (coins, blocks) = (number(5_000_000)?, number(1_000)?);
    let folder = std::env::args().nth(3).map_or_else(|| std::env::temp_dir().join("utxo-table"), Into::into);
    if folder.exists() {
        return Err(format!("{} exists; remove it or name another folder", folder.display()).into());
    }
    let window = std::env::args().nth(4).map(|word| word.parse::<usize>()).transpose()?;
    let mut options = Options::default();
    options.window_bytes = window.map_or(options.window_bytes, |mebibytes| mebibytes << 20);
    let identity =
        || Identity { ledger: "bench".into(), engine: "none".into(), chain: "bench".into(), tables: TABLES };
    let store = DiskStore::open(Arc::new(RealDisk::open(&folder)?), identity(), options)?;
    let (rows, timeline, pins, head) = (store.rows(), Timeline::new(), VecDeque::new(), BlockId::ZERO);
    let (alive, random, background, parts) = (Vec::new(), 1, None, [Duration::ZERO; 3]);
    let mut bench =
        Bench { store, rows, timeline, pins, head, blocks: 0, created: 0, alive, random, background, parts };
    println!("options     {options:?}");

    let (start, before) = (Instant::now(), usage());
    while bench.created < coins {
        bench.block(0, (coins - bench.created).min(50_000))?;
    }
    bench.settle()?;
    report("load", start, &before, coins / SPENDS);

    // Until window, flushes and compaction are in balance.
    for _ in 0..blocks {
        bench.block(SPENDS, SPENDS)?;
    }
    let (start, before) = (Instant::now(), usage());
    bench.parts = [Duration::ZERO; 3];
    for _ in 0..blocks {
        bench.block(SPENDS, SPENDS)?;
    }
    bench.wait();
    report("blocks", start, &before, blocks);
    let [make, journal, apply] = bench.parts.map(|part| part.as_secs_f64() * 1e3 / blocks as f64);
    println!(
        "of these    wall {make:.2} ms to read and make the delta, {journal:.2} to journal it, {apply:.2} to apply it"
    );
    reads(&mut bench, coins)?;

    let memory = bench.store.footprint();
    println!(
        "memory      index {:.1} B per coin, window {} MB, resident {} MB (20 MB of it the list of coins)",
        memory.index_bytes as f64 / coins as f64,
        memory.window_bytes >> 20,
        usage().resident >> 20
    );
    let start = Instant::now();
    bench.store.sync()?;
    println!("sync        {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    drop(bench);
    let start = Instant::now();
    let mut store = DiskStore::open(Arc::new(RealDisk::open(&folder)?), identity(), options)?;
    println!("open        {:.2} s with a window to replay", start.elapsed().as_secs_f64());
    store.flush()?;
    drop(store);
    let start = Instant::now();
    drop(DiskStore::open(Arc::new(RealDisk::open(&folder)?), identity(), options)?);
    println!("open        {:.2} s after a flush", start.elapsed().as_secs_f64());
    let on_disk = fs::read_dir(&folder)?
        .flatten()
        .filter_map(|entry| Some((entry.file_name(), entry.metadata().ok()?)));
    let on_disk: u64 = on_disk
        .filter(|(name, _)| name.to_string_lossy().starts_with(['i', 'v']))
        .map(|(_, data)| data.len())
        .sum();
    println!("on disk     {:.1} B per coin (index and value log)", on_disk as f64 / coins as f64);
    Ok(fs::remove_dir_all(&folder)?)
}

fn report(what: &str, start: Instant, before: &Usage, blocks: u64) {
    let (wall, after) = (start.elapsed(), usage());
    let per_block = |amount: f64| amount / blocks.max(1) as f64;
    println!(
        "{what:<11} {:.1} s; per block of {SPENDS}: CPU {:.2} ms, wall {:.2} ms, written {:.0} kB",
        wall.as_secs_f64(),
        per_block((after.cpu.saturating_sub(before.cpu)).as_secs_f64() * 1e3),
        per_block(wall.as_secs_f64() * 1e3),
        per_block((after.written - before.written) as f64 / 1e3),
    );
}

/// Reads of coins on disk, of fresh coins in the window, and of coins that do not exist.
fn reads(bench: &mut Bench, coins: u64) -> Result<(), Box<dyn Error>> {
    const COUNT: u64 = 200_000;
    let time = |bench: &Bench, what: &str, keys: Vec<[u8; 36]>| -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        let mut found = 0;
        for key in &keys {
            found += u64::from(bench.rows.get(COINS, key)?.is_some());
        }
        let each = start.elapsed().as_secs_f64() * 1e9 / keys.len() as f64;
        println!("{what:<11} {each:.0} ns per read, {found} of {} found", keys.len());
        Ok(())
    };
    let old = (0..COUNT).map(|_| bench.random() % bench.alive.len() as u64).collect::<Vec<_>>();
    time(bench, "get, disk", old.iter().map(|&at| key(bench.alive[at as usize])).collect())?;
    let newest = bench.alive.len() - SPENDS as usize * 4;
    let fresh: Vec<_> = bench.alive[newest..].iter().map(|&coin| key(coin)).collect();
    time(bench, "get, window", fresh)?;
    time(bench, "get, absent", (0..COUNT).map(|at| key((1 << 50) + at * 7 + coins)).collect())
}
