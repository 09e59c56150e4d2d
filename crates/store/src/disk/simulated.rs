//! A disk in memory that can be full, and a machine around it that can lose power.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile};

/// A directory in memory. Clones are the same disk.
///
/// After [`SimulatedDisk::kill`] or [`SimulatedDisk::crash`] whatever had it open before sees only errors; open it
/// again for the next life. Every call that changes something counts as one write: see [`SimulatedDisk::writes`].
#[derive(Clone)]
pub struct SimulatedDisk {
    machine: Arc<Mutex<Machine>>,
    life: u64,
}

struct Machine {
    random: u64,
    /// Counts restarts; handles of an earlier life are dead.
    life: u64,
    writes: u64,
    crash_at: Option<u64>,
    fail_at: Option<u64>,
    capacity: Option<u64>,
    files: Vec<File>,
    /// What a running process sees.
    names: BTreeMap<String, usize>,
    /// What is left if power fails now and nothing that is pending gets through.
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<Naming>,
}

#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

#[derive(Clone)]
enum Naming {
    Set(String, usize),
    Rename(String, String, usize),
    Remove(String),
}

impl Naming {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Set(name, file) => {
                names.insert(name, file);
            }
            Self::Rename(from, to, file) => {
                names.remove(&from);
                names.insert(to, file);
            }
            Self::Remove(name) => {
                names.remove(&name);
            }
        }
    }
}

impl SimulatedDisk {
    /// An empty disk whose accidents follow from a seed.
    pub fn new(seed: u64) -> Self {
        let machine = Machine {
            random: seed,
            life: 0,
            writes: 0,
            crash_at: None,
            fail_at: None,
            capacity: None,
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
        };
        Self { machine: Arc::new(Mutex::new(machine)), life: 0 }
    }

    /// How many calls have changed something so far, failed ones included.
    pub fn writes(&self) -> u64 {
        self.machine.lock().writes
    }

    /// From the write with this number on (the first ever is 0) nothing works any more; that one is torn at any byte.
    /// Ends with the next [`SimulatedDisk::kill`] or [`SimulatedDisk::crash`].
    pub fn crash_at_write(&self, number: u64) {
        self.machine.lock().crash_at = Some(number);
    }

    /// Whether the moment set by [`SimulatedDisk::crash_at_write`] has come.
    pub fn has_stopped(&self) -> bool {
        let machine = self.machine.lock();
        machine.crash_at.is_some_and(|at| machine.writes > at)
    }

    /// The write with this number fails with "no space left", after any prefix.
    pub fn fail_write(&self, number: u64) {
        self.machine.lock().fail_at = Some(number);
    }

    /// All files together may grow up to this many bytes; `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.machine.lock().capacity = bytes;
    }

    /// Bytes of all files together.
    pub fn used(&self) -> u64 {
        self.machine.lock().used()
    }

    /// The process dies, the machine goes on: every write that was made is kept. Returns the disk of the next life.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut machine = self.machine.lock();
        machine.restart();
        Self { machine: Arc::clone(&self.machine), life: machine.life }
    }

    /// Power fails: of what was not synced any part is lost or torn. Returns the disk of the next life.
    #[must_use]
    pub fn crash(&self) -> Self {
        let mut machine = self.machine.lock();
        machine.lose_power();
        machine.restart();
        Self { machine: Arc::clone(&self.machine), life: machine.life }
    }

    /// A copy of a file's bytes, if it exists.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let machine = self.machine.lock();
        machine.names.get(name).map(|&file| machine.files[file].bytes.clone())
    }

    /// Damages one stored byte, durably.
    pub fn flip(&self, name: &str, offset: usize, mask: u8) {
        let mut machine = self.machine.lock();
        if let Some(&file) = machine.names.get(name) {
            let file = &mut machine.files[file];
            if let Some(byte) = file.bytes.get_mut(offset) {
                *byte ^= mask;
            }
            file.settle();
        }
    }

    /// An independent copy of the disk as it stands, everything in it durable.
    #[must_use]
    pub fn copy(&self, seed: u64) -> Self {
        let copy = Self::new(seed);
        let source = self.machine.lock();
        let mut target = copy.machine.lock();
        for (name, &file) in &source.names {
            let bytes = source.files[file].bytes.clone();
            let at = target.files.len();
            target.files.push(File { durable: bytes.clone(), bytes, pending: Vec::new() });
            target.names.insert(name.clone(), at);
        }
        target.durable_names = target.names.clone();
        drop(target);
        copy
    }

    /// Counts a change and lets it happen as far as the accidents allow: `Ok` or the error after `torn` ran.
    fn change<T>(&self, act: impl FnOnce(&mut Machine, Mishap) -> T) -> io::Result<T> {
        let mut machine = self.machine.lock();
        machine.alive(self.life)?;
        let number = machine.writes;
        machine.writes += 1;
        let mishap = if machine.crash_at == Some(number) {
            Mishap::Crash
        } else if machine.fail_at == Some(number) {
            Mishap::Full
        } else {
            Mishap::None
        };
        let done = act(&mut machine, mishap);
        match mishap {
            Mishap::None => Ok(done),
            Mishap::Full => Err(full()),
            Mishap::Crash => Err(dead()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mishap {
    None,
    Full,
    Crash,
}

fn dead() -> io::Error {
    io::Error::other("the simulated machine has stopped")
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no space left on device")
}

impl Machine {
    /// Sebastiano Vigna's SplitMix64.
    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below.max(1)
    }

    fn alive(&self, life: u64) -> io::Result<()> {
        let stopped = self.crash_at.is_some_and(|at| self.writes > at);
        if stopped || life != self.life { Err(dead()) } else { Ok(()) }
    }

    fn used(&self) -> u64 {
        self.names.values().map(|&file| self.files[file].bytes.len() as u64).sum()
    }

    fn name(&mut self, naming: Naming) {
        naming.clone().apply(&mut self.names);
        self.pending_names.push(naming);
    }

    /// How many of `len` bytes written at `offset` fit.
    fn fitting(&self, file: usize, offset: u64, len: u64) -> u64 {
        let Some(capacity) = self.capacity else { return len };
        let present = self.files[file].bytes.len() as u64;
        let free = capacity.saturating_sub(self.used());
        len.min((present + free).saturating_sub(offset))
    }

    fn lose_power(&mut self) {
        // Some crashes lose nearly all, some nearly nothing.
        let lost_in_10 = self.random(11);
        for file in 0..self.files.len() {
            let changes = std::mem::take(&mut self.files[file].pending);
            let mut bytes = std::mem::take(&mut self.files[file].durable);
            for change in changes {
                match change {
                    _ if self.random(10) < lost_in_10 => {}
                    Change::Write(offset, data) => {
                        let whole = self.random(3) > 0;
                        let kept = if whole { data.len() } else { self.random(data.len() as u64) as usize };
                        write(&mut bytes, offset, &data[..kept]);
                    }
                    Change::Truncate(len) => bytes.truncate(len as usize),
                }
            }
            self.files[file].durable.clone_from(&bytes);
            self.files[file].bytes = bytes;
        }
        let mut names = std::mem::take(&mut self.durable_names);
        for naming in std::mem::take(&mut self.pending_names) {
            if self.random(10) >= lost_in_10 {
                naming.apply(&mut names);
            }
        }
        self.names.clone_from(&names);
        self.durable_names = names;
    }

    fn restart(&mut self) {
        self.life += 1;
        self.crash_at = None;
        self.fail_at = None;
    }
}

fn write(into: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (offset, end) = (offset as usize, offset as usize + bytes.len());
    if into.len() < end {
        into.resize(end, 0);
    }
    into[offset..end].copy_from_slice(bytes);
}

impl File {
    /// What a process sees becomes what a power cut leaves.
    fn settle(&mut self) {
        let mut durable = std::mem::take(&mut self.durable);
        for change in self.pending.drain(..) {
            match change {
                Change::Write(offset, bytes) => write(&mut durable, offset, &bytes),
                Change::Truncate(len) => durable.truncate(len as usize),
            }
        }
        if durable != self.bytes {
            durable.clone_from(&self.bytes);
        }
        self.durable = durable;
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let found = {
            let machine = self.machine.lock();
            machine.alive(self.life)?;
            machine.names.get(name).copied()
        };
        let file = match found {
            Some(file) => file,
            None if create => self.change(|machine, mishap| {
                let file = machine.files.len();
                if mishap == Mishap::None {
                    machine.files.push(File::default());
                    machine.name(Naming::Set(name.to_owned(), file));
                }
                file
            })?,
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(Handle { disk: self.clone(), file }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let machine = self.machine.lock();
        machine.alive(self.life)?;
        Ok(machine.names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(|machine, mishap| {
            let Some(&file) = machine.names.get(from) else {
                return Err(io::ErrorKind::NotFound.into());
            };
            if mishap == Mishap::None {
                machine.name(Naming::Rename(from.to_owned(), to.to_owned(), file));
            }
            Ok(())
        })?
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(|machine, mishap| {
            if mishap == Mishap::None && machine.names.contains_key(name) {
                machine.name(Naming::Remove(name.to_owned()));
            }
        })
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.change(|machine, mishap| {
            if mishap == Mishap::None {
                machine.pending_names.clear();
                machine.durable_names = machine.names.clone();
            }
        })
    }

    fn place(&self) -> String {
        "the simulated disk".to_owned()
    }
}

struct Handle {
    disk: SimulatedDisk,
    file: usize,
}

impl DiskFile for Handle {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let machine = self.disk.machine.lock();
        machine.alive(self.disk.life)?;
        let bytes = &machine.files[self.file].bytes;
        let from = bytes.len().min(offset as usize);
        let count = into.len().min(bytes.len() - from);
        into[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let whole = self.disk.change(|machine, mishap| {
            let mut kept = machine.fitting(self.file, offset, bytes.len() as u64);
            if mishap != Mishap::None {
                kept = machine.random(kept + 1);
            }
            let data = &bytes[..kept as usize];
            let file = &mut machine.files[self.file];
            write(&mut file.bytes, offset, data);
            file.pending.push(Change::Write(offset, data.to_vec()));
            data.len() == bytes.len()
        })?;
        if whole { Ok(()) } else { Err(full()) }
    }

    fn len(&self) -> io::Result<u64> {
        let machine = self.disk.machine.lock();
        machine.alive(self.disk.life)?;
        Ok(machine.files[self.file].bytes.len() as u64)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.change(|machine, mishap| {
            if mishap == Mishap::None {
                let file = &mut machine.files[self.file];
                file.bytes.truncate(len as usize);
                file.pending.push(Change::Truncate(len));
            }
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change(|machine, mishap| {
            if mishap == Mishap::None {
                machine.files[self.file].settle();
            }
        })
    }
}
