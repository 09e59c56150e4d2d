//! The tutorial's ledger under proof of work, and under one key.

use std::collections::BTreeMap;
use std::sync::Arc;

use chainwright_chain::{
    CompactTarget, Consensus, Header as _, Headers, Proof, TableId, Timestamp, Transaction, View,
};
use chainwright_names::{Claim, Names, NamesBlock, NamesHeader, commitment, sha256};
use chainwright_network::Parameters as Wire;
use chainwright_pow::{Anchor, Asert, Pow, TargetRule, target_of};
use chainwright_solo::{Sealing, SealingKey, Solo};

use crate::{Cell, Choice, Model, Random};

/// Every second hash is good enough.
const EASIEST: CompactTarget = CompactTarget(0x207f_ffff);
/// Earlier than the simulator's time.
const GENESIS_SECONDS: u64 = 1_789_990_000;
/// Names people fight about.
const POPULAR: u64 = 12;

fn genesis() -> NamesHeader {
    NamesHeader { body: commitment(&[]), time: GENESIS_SECONDS, bits: EASIEST.0, ..NamesHeader::default() }
}

/// What a name is, as a naive program keeps it.
#[derive(Clone, PartialEq, Eq)]
struct Entry {
    last: [u8; 32],
    lock: [u8; 32],
    value: [u8; 32],
    /// Opens the lock: whoever made the claim knows it.
    secret: [u8; 32],
}

/// All names after one block.
#[derive(Clone, Default)]
pub struct NamesModel(BTreeMap<[u8; 32], Entry>);

/// The secret of the lock a claim of the simulator sets.
fn next_secret(claim: &Claim) -> [u8; 32] {
    sha256(&[claim.name, claim.value, claim.after].concat())
}

impl NamesModel {
    fn claim(&mut self, claim: &Claim) -> Result<(), String> {
        if !self.admits(claim) {
            return Err(format!("claim {} does not fit", claim.id()));
        }
        let secret = next_secret(claim);
        let entry = Entry { last: claim.id().0, lock: claim.lock, value: claim.value, secret };
        self.0.insert(claim.name, entry);
        Ok(())
    }

    /// A claim that fits now.
    fn next(&self, random: &mut Random) -> Claim {
        let popular = random.percent(60);
        let number = if popular { random.below(POPULAR) } else { POPULAR + random.below(1_000_000) };
        let name = sha256(&number.to_le_bytes());
        let (after, secret) =
            self.0.get(&name).map_or(([0; 32], [0; 32]), |entry| (entry.last, entry.secret));
        let claim = Claim { name, value: random.bytes(), after, secret, lock: [0; 32] };
        Claim { lock: sha256(&next_secret(&claim)), ..claim }
    }
}

impl Model<Names> for NamesModel {
    fn apply(&mut self, block: &NamesBlock) -> Result<(), String> {
        block.claims.iter().try_for_each(|claim| self.claim(claim))
    }

    fn admits(&self, claim: &Claim) -> bool {
        match self.0.get(&claim.name) {
            None => claim.after == [0; 32] && claim.secret == [0; 32],
            Some(entry) => claim.after == entry.last && sha256(&claim.secret) == entry.lock,
        }
    }

    fn apply_loose(&mut self, claim: &Claim) {
        // One that does not fit changes nothing.
        drop(self.claim(claim));
    }

    fn depends(&self, claim: &Claim, on: &Claim) -> bool {
        claim.after == on.id().0
    }

    fn is_reusable(&self, _: &Claim) -> bool {
        true
    }

    fn compare(&self, view: &View<Names>) -> Result<(), String> {
        let rows = view.state.range(TableId(0), &[], None, usize::MAX).map_err(|fault| fault.to_string())?;
        let expected = self
            .0
            .iter()
            .map(|(name, entry)| (name.to_vec(), [entry.last, entry.lock, entry.value].concat()));
        let got = rows.iter().map(|(name, row)| (name.to_vec(), row.to_vec()));
        if expected.eq(got) { Ok(()) } else { Err(format!("{} names are {} rows", self.0.len(), rows.len())) }
    }
}

fn transactions(model: &NamesModel, count: usize, random: &mut Random) -> Vec<Claim> {
    let mut model = model.clone();
    let mut made = Vec::new();
    while made.len() < count {
        let claim = model.next(random);
        if random.percent(5) {
            // A rival for the same name; only one of them can count.
            let value = random.bytes();
            made.push(Claim { value, lock: sha256(&next_secret(&Claim { value, ..claim })), ..claim });
            model.apply_loose(&made[made.len() - 1]);
        } else {
            model.apply_loose(&claim);
        }
        made.push(claim);
    }
    made
}

fn corrupt(block: &NamesBlock) -> NamesBlock {
    let mut bad = block.clone();
    let claim = bad.claims.first().copied();
    let stolen = Claim { name: [1; 32], value: [0; 32], after: [9; 32], secret: [0; 32], lock: [0; 32] };
    bad.claims.push(claim.unwrap_or(stolen));
    bad.header.body = commitment(&bad.claims);
    bad
}

macro_rules! shared_parts {
    () => {
        type Ledger = Names;
        type Model = NamesModel;

        fn ledger(&self) -> Arc<Names> {
            Arc::new(Names { genesis: genesis() })
        }

        fn payee(&self, _: usize) -> Vec<u8> {
            Vec::new()
        }

        fn network(&self) -> Wire<Names> {
            let mut wire = Wire::new(*b"name", 18555);
            wire.header_length = Some(84);
            wire.block_spacing_ms = 10_000;
            wire
        }

        fn model(&self) -> NamesModel {
            NamesModel::default()
        }

        fn transactions(&self, model: &NamesModel, count: usize, random: &mut Random) -> Vec<Claim> {
            transactions(model, count, random)
        }

        fn mutate(&self, block: &NamesBlock, random: &mut Random) -> Option<NamesBlock> {
            let mut mutated = block.clone();
            mutated.claims.push(NamesModel::default().next(random));
            Some(mutated)
        }

        fn corrupt(&self, block: &NamesBlock, _: &NamesModel) -> Option<NamesBlock> {
            Some(corrupt(block))
        }

        fn set_time(&self, block: &mut NamesBlock, time: Timestamp) {
            block.header.time = time.0;
        }
    };
}

/// Names under proof of work, with the target rule of new chains.
pub struct NamesOnPow;

impl Cell for NamesOnPow {
    const NAME: &'static str = "names-pow";
    const CHOICE: Choice = Choice::Weight;

    fn new(_: u64) -> Self {
        Self
    }

    fn consensus(&self) -> Arc<dyn Consensus<Names>> {
        let anchor = Anchor { height: 0, parent_time: GENESIS_SECONDS - 10, target: EASIEST };
        let limit = target_of(EASIEST).expect("the easiest target is a target");
        Arc::new(Pow::new(TargetRule::Asert(Asert {
            anchor,
            spacing_seconds: 10,
            half_life_seconds: 3600,
            limit,
        })))
    }

    shared_parts!();
}

/// Names where one key seals.
pub struct NamesOnSolo(SealingKey);

impl NamesOnSolo {
    fn solo(&self) -> Solo {
        Solo::sealer(genesis().id(), self.0.clone(), Sealing::OnRequest, Vec::new())
    }
}

impl Cell for NamesOnSolo {
    const NAME: &'static str = "names-solo";
    const CHOICE: Choice = Choice::Proof;

    fn new(seed: u64) -> Self {
        Self(SealingKey::from_bytes(sha256(&seed.to_be_bytes())).expect("a hash is a key"))
    }

    fn consensus(&self) -> Arc<dyn Consensus<Names>> {
        Arc::new(self.solo())
    }

    fn prove(&self, block: &Headers<Names>) -> Option<Proof> {
        self.solo().proof_of(block.id(), block.height())
    }

    shared_parts!();
}
