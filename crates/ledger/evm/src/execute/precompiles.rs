//! Precompiled contracts, some of which a call may suppose to stand elsewhere.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use alloy_primitives::map::AddressSet;
use revm::context::CfgEnv;
use revm::handler::{EthPrecompiles, PrecompileProvider};
use revm::interpreter::{CallInputs, InterpreterResult};
use revm::precompile::{PrecompileSpecId, Precompiles};
use revm::primitives::hardfork::SpecId;

use super::machine::MachineContext;

/// Why a precompiled contract cannot be moved (geth, `internal/ethapi/override` `StateOverride.Apply`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// There is none to be moved.
    #[error("account {0} is not a precompile")]
    NotPrecompile(Address),
}

/// Where precompiled contracts stand instead of their own places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MovedPrecompiles {
    /// An address, and whose precompiled contract it runs; none where one was taken away.
    places: BTreeMap<Address, Option<Address>>,
}

impl MovedPrecompiles {
    /// Whose precompiled contract runs at an address.
    fn at(&self, address: Address, standard: &Precompiles) -> Option<Address> {
        let standing = || standard.contains(&address).then_some(address);
        self.places.get(&address).copied().unwrap_or_else(standing)
    }

    /// An account is supposed to be otherwise: whatever precompiled contract it had is gone, or stands at `to`.
    ///
    /// # Errors
    /// [`MoveError::NotPrecompile`] if it is to stand elsewhere and is none.
    pub fn displace(&mut self, rules: &CfgEnv, from: Address, to: Option<Address>) -> Result<(), MoveError> {
        let standard = Precompiles::new(PrecompileSpecId::from_spec_id(rules.spec));
        let whose = self.at(from, standard);
        if let Some(to) = to {
            self.places.insert(to, Some(whose.ok_or(MoveError::NotPrecompile(from))?));
        }
        if whose.is_some() {
            self.places.insert(from, None);
        }
        Ok(())
    }
}

/// Ethereum's precompiled contracts at their places or elsewhere. What is warm from the start stays as it is.
#[derive(Clone, Debug)]
pub struct PlacedPrecompiles {
    standard: EthPrecompiles,
    pub(super) moved: MovedPrecompiles,
}

impl From<EthPrecompiles> for PlacedPrecompiles {
    fn from(standard: EthPrecompiles) -> Self {
        Self { standard, moved: MovedPrecompiles::default() }
    }
}

impl PrecompileProvider<MachineContext> for PlacedPrecompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        PrecompileProvider::<MachineContext>::set_spec(&mut self.standard, spec)
    }

    fn run(
        &mut self,
        context: &mut MachineContext,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        if self.moved.places.is_empty() {
            return self.standard.run(context, inputs);
        }
        match self.moved.at(inputs.bytecode_address, self.standard.precompiles) {
            Some(whose) => {
                self.standard.run(context, &CallInputs { bytecode_address: whose, ..inputs.clone() })
            }
            None => Ok(None),
        }
    }

    fn warm_addresses(&self) -> &AddressSet {
        self.standard.warm_addresses()
    }

    fn contains(&self, address: &Address) -> bool {
        self.moved.at(*address, self.standard.precompiles).is_some()
    }
}
