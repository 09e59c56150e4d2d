//! Transactions of every kind, by chance.

use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, U256, hex};

use crate::chance::Chance;
use crate::contracts::{self, CALLER, ENDER, FACTORY, FAILURE, MEMO, MIRROR, STORE, words};
use crate::wallet::{Deed, Wallet};

/// Gas of a transaction that calls contracts.
const GAS: u64 = 700_000;

/// Whoever makes transactions, and what they have made.
pub(crate) struct Traffic {
    chance: Chance,
    wallet: Wallet,
    /// Contracts that were made and may still be there.
    made: Vec<Address>,
    /// Accounts that were paid.
    pub(crate) paid: Vec<Address>,
}

/// A call's target as a word.
pub(crate) fn word_of(address: Address) -> U256 {
    address.into_word().into()
}

fn calling(to: Address, input: Vec<u8>) -> Deed {
    Deed { to: Some(to), value: U256::ZERO, gas: GAS, input: input.into() }
}

impl Traffic {
    pub(crate) fn new(chance: Chance) -> Self {
        Self { chance, wallet: Wallet::new(), made: Vec::new(), paid: Vec::new() }
    }

    /// Some transactions of plain senders, in order.
    pub(crate) fn some(&mut self, count: usize) -> Vec<Bytes> {
        (0..count).map(|_| self.one()).collect()
    }

    /// A transaction with two blobs.
    pub(crate) fn blobs(&mut self) -> Bytes {
        let key = *self.chance.pick(&self.wallet.blob_senders.clone());
        let deed = calling(MIRROR, words(&[word_of(key.address)]));
        self.wallet.blobs(key, deed)
    }

    fn one(&mut self) -> Bytes {
        let key = *self.chance.pick(&self.wallet.senders.clone());
        if self.chance.once_in(10) {
            return self.delegation();
        }
        let deed = self.deed(key.address);
        if deed.to.is_none() {
            self.made.push(self.wallet.next_contract(key.address));
        }
        match self.chance.below(10) {
            0 => self.wallet.legacy(key, deed),
            1 => self.wallet.without_chain(key, deed),
            2 | 3 => {
                let list = self.access_list();
                self.wallet.with_access_list(key, deed, list)
            }
            _ => self.wallet.dynamic(key, deed),
        }
    }

    fn access_list(&mut self) -> AccessList {
        let mut item = |address| AccessListItem {
            address,
            storage_keys: (0..self.chance.below(4)).map(|slot| B256::from(U256::from(slot))).collect(),
        };
        AccessList(vec![item(STORE), item(CALLER)])
    }

    fn deed(&mut self, sender: Address) -> Deed {
        match self.chance.below(14) {
            0..=2 => self.payment(),
            3 | 4 => {
                let input = self.store_input();
                calling(STORE, input)
            }
            5 => calling(MIRROR, words(&[word_of(sender)])),
            6 => {
                let input = words(&[self.chance.word(11), self.chance.word(1000)]);
                calling(FAILURE, input)
            }
            7 | 8 => {
                let (kind, target, input) = self.inner_call();
                calling(CALLER, [words(&[kind, word_of(target), U256::ZERO]), input].concat())
            }
            9 => Deed { to: None, value: U256::ZERO, gas: GAS, input: self.init_code() },
            10 | 11 => {
                let init = self.init_code();
                let mut deed = calling(
                    FACTORY,
                    [words(&[self.chance.word(2), self.chance.word(50)]), init.to_vec()].concat(),
                );
                deed.value = self.chance.word(3);
                deed
            }
            12 => self.ending(),
            _ => {
                let input = words(&[self.chance.word(1_000_000)]);
                calling(MEMO, input)
            }
        }
    }

    fn payment(&mut self) -> Deed {
        let to = match self.chance.below(4) {
            0 if !self.paid.is_empty() => *self.chance.pick(&self.paid),
            1 => self.chance.pick(&self.wallet.authorities).address,
            _ => self.chance.address(),
        };
        self.paid.push(to);
        let value = self.chance.word(3) * self.chance.word(1_000_000_000);
        Deed { to: Some(to), value, gas: 100_000, input: Bytes::new() }
    }

    fn store_input(&mut self) -> Vec<u8> {
        let value = if self.chance.once_in(3) { U256::ZERO } else { self.chance.word(1 << 40) };
        words(&[self.chance.word(60), self.chance.word(16), value])
    }

    fn init_code(&mut self) -> Bytes {
        let contracts = contracts::all();
        match self.chance.below(6) {
            0 => contracts::stillborn(),
            // It runs into an invalid instruction, or begins with a byte that no contract may begin with.
            1 => hex!("fe").into(),
            2 => contracts::installing(&hex!("ef00")),
            _ => contracts::installing(&self.chance.pick(&contracts).1),
        }
    }

    /// A precompiled contract with some input, or one of ours.
    fn inner_call(&mut self) -> (U256, Address, Vec<u8>) {
        let kind = self.chance.word(4);
        if self.chance.once_in(2) {
            let number = *self.chance.pick(&[1_u64, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 16, 17, 0x100]);
            let size = *self.chance.pick(&[0_usize, 32, 64, 96, 128, 160, 192, 213, 256, 384]);
            let fill = self.chance.below(3) as u8;
            return (kind, Address::left_padding_from(&number.to_be_bytes()), vec![fill; size]);
        }
        match self.chance.below(4) {
            0 => (kind, STORE, self.store_input()),
            1 => (kind, FAILURE, words(&[self.chance.word(11), U256::from(7)])),
            2 => (kind, MEMO, words(&[self.chance.word(9)])),
            _ => (kind, MIRROR, words(&[word_of(STORE)])),
        }
    }

    /// A self-destruct: of the contract that is always there, of one made before, or of one made and ended in one go.
    fn ending(&mut self) -> Deed {
        let heir = if self.chance.once_in(2) { self.chance.address() } else { STORE };
        self.paid.push(heir);
        let target = if self.made.is_empty() { ENDER } else { *self.chance.pick(&self.made) };
        let target = *self.chance.pick(&[target, ENDER]);
        let mut deed = calling(target, words(&[word_of(heir)]));
        deed.value = self.chance.word(2);
        deed
    }

    fn delegation(&mut self) -> Bytes {
        let key = *self.chance.pick(&self.wallet.senders.clone());
        let targets = [STORE, MIRROR, CALLER, FAILURE, Address::ZERO, ENDER, self.chance.address()];
        let mut delegations = Vec::new();
        for _ in 0..=self.chance.below(2) {
            let authority = *self.chance.pick(&self.wallet.authorities);
            delegations.push((authority, *self.chance.pick(&targets)));
        }
        let input = self.store_input();
        let deed = calling(delegations[0].0.address, input);
        self.wallet.delegating(key, deed, &delegations)
    }

    /// Accounts worth asking about.
    pub(crate) fn accounts(&self) -> Vec<Address> {
        let keys =
            self.wallet.senders.iter().chain(&self.wallet.blob_senders).chain(&self.wallet.authorities);
        let mut all: Vec<_> = keys.map(|key| key.address).collect();
        all.extend(contracts::all().iter().map(|(address, _)| *address));
        all.extend(&self.made);
        all.extend(self.paid.iter().take(30));
        all
    }
}
