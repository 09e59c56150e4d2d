//! Where the vectors lie, and how a large archive of them is run: one thread reads, the others work.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Instant;

use crate::case::{Case, Cases};

/// The folder of vectors, if it is there. With `CHAINWRIGHT_REQUIRE_VECTORS=1` it has to be.
fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/vectors");
    let folder = PathBuf::from(std::env::var("CHAINWRIGHT_VECTORS").unwrap_or_else(|_| beside.into()));
    if folder.join("ethereum").is_dir() {
        return Some(folder.join("ethereum"));
    }
    let required = std::env::var("CHAINWRIGHT_REQUIRE_VECTORS").is_ok_and(|value| value == "1");
    assert!(!required, "vectors are required and missing: {}", folder.display());
    eprintln!("SKIPPED: no vectors at {}", folder.display());
    None
}

/// Cases whose name holds this text only; set to look at a failure.
fn filter() -> String {
    std::env::var("CHAINWRIGHT_CASES").unwrap_or_default()
}

/// Runs every case of an archive and reports all that fail.
pub(crate) fn run(archive: &str, check: impl Fn(&Case) -> Result<(), String> + Sync) {
    let Some(folder) = folder() else { return };
    let file = File::open(folder.join(format!("{archive}.tar.zst"))).unwrap();
    let (sender, receiver) = mpsc::sync_channel::<Vec<u8>>(4);
    let receiver = Mutex::new(receiver);
    let (count, failures, started) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Instant::now());
    let filter = filter();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Ok(bytes) = { receiver.lock().unwrap().recv() } {
                    let cases: Cases = serde_json::from_slice(&bytes).unwrap();
                    for (name, case) in cases.iter().filter(|(name, _)| name.contains(&filter)) {
                        count.fetch_add(1, Ordering::Relaxed);
                        if let Err(what) = check(case) {
                            failures.lock().unwrap().push(format!("{name}: {what}"));
                        }
                    }
                }
            });
        }
        let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            if entry.path().unwrap().extension().is_some_and(|extension| extension == "json") {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                sender.send(bytes).unwrap();
            }
        }
        drop(sender);
    });
    report(&filter, count.into_inner(), failures.into_inner().unwrap(), started);
}

fn report(filter: &str, count: usize, mut failures: Vec<String>, started: Instant) {
    failures.sort();
    eprintln!("{count} cases, {} failures, {:.1} s", failures.len(), started.elapsed().as_secs_f32());
    assert!(count >= 5_000 || !filter.is_empty(), "only {count} cases were found");
    assert!(failures.is_empty(), "{} of {count} cases fail:\n{}", failures.len(), failures.join("\n"));
}
