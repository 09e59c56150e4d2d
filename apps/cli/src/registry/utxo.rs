//! Cells with Bitcoin's ledger.

use std::sync::Arc;

use chainwright_chain::{Consensus, Pool as _};
use chainwright_network::{Hooks, Parameters as Wire};
use chainwright_node::MakeDialects;
use chainwright_rpc::{Dialect, GenericDialect};
use chainwright_rpc_bitcoin::{BitcoinDialect, BitcoinNode};
use chainwright_utxo::Utxo;
use chainwright_utxo::address::Destination;
use chainwright_utxo::codec::put_compact_size;
use chainwright_utxo::params::Parameters;
use chainwright_utxo::pool::Policy;
use chainwright_utxo::script::Script;

use super::assembly::{Framing, assuming, boxed_pow, identity, pow_engine, solo_engine, wire};
use super::{Assembly, Assume, Cell, Overrides};
use crate::error::{CliError, CliResult};
use crate::spec::{ChainFile, UtxoSection};

/// Bytes of every header.
const HEADER_LENGTH: usize = 80;
/// What RPC calls the program's version: Bitcoin Core 31.0.0, whose words it speaks.
const RPC_VERSION: u32 = 310_000;
/// The program's name in RPC messages.
const RPC_NAME: &str = "Chainwright";
/// Blocks of a period where no engine has any.
const RETARGET_INTERVAL: u32 = 2016;

fn section(file: &ChainFile) -> CliResult<&UtxoSection> {
    file.utxo.as_ref().ok_or_else(|| CliError::usage("section [utxo] is missing"))
}

/// The script of the address blocks pay.
fn payee(parameters: &Parameters, overrides: &Overrides) -> CliResult<Vec<u8>> {
    let Some(producer) = overrides.producer.as_ref().filter(|producer| !producer.address.is_empty()) else {
        return Ok(Vec::new());
    };
    let destination = Destination::decode(&producer.address, &parameters.addresses).map_err(|error| {
        CliError::usage(format!("`{}` is no address of {}: {error}", producer.address, parameters.name))
            .hint("`chainwright key new --chain NAME --out FILE` makes one")
    })?;
    Ok(destination.script_pubkey().as_bytes().to_vec())
}

/// Bitcoin's chains.
pub(super) fn with_pow(file: &ChainFile, overrides: &Overrides) -> CliResult<Box<dyn Cell>> {
    let section = section(file)?;
    let parameters = section.parameters(file)?;
    let payee = payee(&parameters, overrides)?;
    let pow = pow_engine(file, section.first_block(), overrides, payee.clone())?;
    let wants_headers_first = pow.assumed_valid.is_some() && overrides.assume != Assume::Everything;
    let minimum_weight = pow.minimum_weight;
    let interval = match &pow.target_rule {
        chainwright_pow::TargetRule::Bitcoin(rule) => rule.interval(),
        chainwright_pow::TargetRule::Asert(_) => RETARGET_INTERVAL,
    };
    let consensus = assuming(boxed_pow::<Utxo>(pow), overrides);
    let mut assembly = assemble(file, overrides, parameters, (consensus, interval, payee));
    assembly.parameters.minimum_weight = minimum_weight;
    assembly.wants_headers_first = wants_headers_first;
    Ok(Box::new(assembly))
}

/// Coins under one sealer.
pub(super) fn with_solo(file: &ChainFile, overrides: &Overrides) -> CliResult<Box<dyn Cell>> {
    let parameters = section(file)?.parameters(file)?;
    let payee = payee(&parameters, overrides)?;
    let ledger = Utxo::new(parameters.clone());
    let solo = solo_engine(file, &ledger, overrides, payee.clone())?;
    let consensus = assuming::<Utxo>(Arc::new(solo), overrides);
    Ok(Box::new(assemble(file, overrides, parameters, (consensus, RETARGET_INTERVAL, payee))))
}

fn assemble(
    file: &ChainFile,
    overrides: &Overrides,
    parameters: Parameters,
    (consensus, interval, payee): (Arc<dyn Consensus<Utxo>>, u32, Vec<u8>),
) -> Assembly<Utxo> {
    let mut wire: Wire<Utxo> = wire(file, overrides);
    wire.header_length = Some(HEADER_LENGTH);
    wire.hooks = hooks();
    let ledger = Utxo::new(parameters);
    let identity = identity(file, overrides, &ledger, &*consensus);
    Assembly {
        ledger: Arc::new(ledger),
        dialects: dialects(Arc::clone(&consensus), interval, payee),
        consensus,
        identity,
        parameters: wire,
        wants_headers_first: false,
        framing: Framing::Magic(file.network.magic.0),
    }
}

fn hooks() -> Hooks<Utxo> {
    Hooks {
        strip_block: |block| {
            let mut bytes = Vec::with_capacity(block.stripped_size());
            bytes.extend_from_slice(&block.header.encode());
            put_compact_size(&mut bytes, block.transactions.len());
            for transaction in &block.transactions {
                bytes.extend(transaction.parts().encode_stripped());
            }
            bytes.into()
        },
        strip_transaction: |transaction| transaction.parts().encode_stripped().into(),
        fee_rate: |pool, id| {
            let txid = pool.get(id)?.txid();
            let entry = pool.entry(&txid)?;
            u64::try_from(entry.fee.0.saturating_mul(1000) / entry.vsize().max(1) as i64).ok()
        },
        fee_rate_min: |_| u64::try_from(Policy::default().relay_fee_min.0).ok(),
    }
}

fn dialects(
    consensus: Arc<dyn Consensus<Utxo>>,
    retarget_interval: u32,
    payee: Vec<u8>,
) -> MakeDialects<Utxo> {
    Box::new(move |chain, host| {
        let generate_to = (!payee.is_empty()).then(|| Script::from(payee));
        let node = BitcoinNode {
            chain: chain.clone(),
            consensus,
            host: Arc::clone(host),
            client_name: RPC_NAME.to_owned(),
            client_version: RPC_VERSION,
            retarget_interval,
            generate_to,
        };
        vec![GenericDialect::new(chain.clone()) as Arc<dyn Dialect>, BitcoinDialect::new(node)]
    })
}
