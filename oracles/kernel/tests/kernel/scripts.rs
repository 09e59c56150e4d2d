//! Inputs under every combination of flags that the engine offers.

use std::collections::BTreeSet;
use std::fmt::Display;

use bitcoinkernel::{
    KernelError, PrecomputedTransactionData, ScriptPubkey, ScriptVerifyError, VERIFY_CHECKLOCKTIMEVERIFY,
    VERIFY_CHECKSEQUENCEVERIFY, VERIFY_DERSIG, VERIFY_NULLDUMMY, VERIFY_P2SH, VERIFY_TAPROOT, VERIFY_WITNESS,
    verify,
};
use bytes::Bytes;
use chainwright_utxo::amount::Amount;
use chainwright_utxo::block::Block;
use chainwright_utxo::hash::Txid;
use chainwright_utxo::script::{Flags, Script};
use chainwright_utxo::sighash::PrecomputedTransaction;
use chainwright_utxo::tx::{OutPoint, Transaction, TxOut, Witness};
use serde_json::Value;

use crate::support::{Dice, flip, read, read_list, read_zstd, say, unhex};

/// The engine's flags, and ours of the same meaning.
const FLAGS: [(u32, Flags); 7] = [
    (VERIFY_P2SH, Flags::P2SH),
    (VERIFY_DERSIG, Flags::DERSIG),
    (VERIFY_NULLDUMMY, Flags::NULLDUMMY),
    (VERIFY_CHECKLOCKTIMEVERIFY, Flags::CHECKLOCKTIMEVERIFY),
    (VERIFY_CHECKSEQUENCEVERIFY, Flags::CHECKSEQUENCEVERIFY),
    (VERIFY_WITNESS, Flags::WITNESS),
    (VERIFY_TAPROOT, Flags::TAPROOT),
];

/// Every combination but those the engine refuses: WITNESS without P2SH.
fn combinations() -> Vec<(u32, Flags)> {
    let union = |choice: u32| {
        let chosen = FLAGS.iter().enumerate().filter(|(at, _)| choice >> at & 1 == 1);
        chosen.fold((0, Flags::NONE), |(theirs, ours), (_, (flag, same))| (theirs | flag, ours | *same))
    };
    let all: Vec<_> = (0..128).map(union).collect();
    all.into_iter().filter(|(theirs, _)| theirs & VERIFY_WITNESS == 0 || theirs & VERIFY_P2SH != 0).collect()
}

/// A transaction with what it spends, on both sides.
struct Spend {
    ours: PrecomputedTransaction,
    theirs: bitcoinkernel::Transaction,
    scripts: Vec<ScriptPubkey>,
    data: PrecomputedTransactionData,
}

impl Spend {
    fn new(transaction: Transaction, spent: Vec<TxOut>) -> Self {
        let theirs = bitcoinkernel::Transaction::new(transaction.encode()).expect("what we encode decodes");
        let script = |output: &TxOut| ScriptPubkey::new(output.script_pubkey.as_bytes()).expect("any bytes");
        let scripts: Vec<_> = spent.iter().map(script).collect();
        let output = |(output, script): (&TxOut, _)| bitcoinkernel::TxOut::new(script, output.value.0);
        let outputs: Vec<_> = spent.iter().zip(&scripts).map(output).collect();
        let data = PrecomputedTransactionData::new(&theirs, &outputs).expect("one output per input");
        let ours = PrecomputedTransaction::new(transaction, spent).expect("one output per input");
        Self { ours, theirs, scripts, data }
    }

    /// The same spend with one input's script or witness changed.
    fn with_input(&self, index: usize, script_sig: Vec<u8>, items: Vec<Vec<u8>>) -> Self {
        let mut parts = self.ours.transaction().parts().clone();
        parts.inputs[index].script_sig = Script::from(script_sig);
        parts.inputs[index].witness = Witness::from_items(items);
        Self::new(Transaction::new(parts), self.ours.spent().to_vec())
    }

    /// A bit of this input's script or witness changed; nothing if it has neither.
    fn flipped(&self, index: usize, dice: &mut Dice) -> Option<(Self, usize)> {
        let input = &self.ours.transaction().inputs()[index];
        let mut pieces = vec![input.script_sig.as_bytes().to_vec()];
        pieces.extend(input.witness.iter().map(<[u8]>::to_vec));
        let length: usize = pieces.iter().map(Vec::len).sum();
        if length == 0 {
            return None;
        }
        let bit = dice.below(length * 8);
        let mut at = bit;
        for piece in &mut pieces {
            if at < piece.len() * 8 {
                *piece = flip(piece, at);
                break;
            }
            at -= piece.len() * 8;
        }
        let script_sig = pieces.remove(0);
        Some((self.with_input(index, script_sig, pieces), bit))
    }
}

/// How many verdicts were compared, and how many said yes.
#[derive(Default)]
struct Counts {
    good: usize,
    bad: usize,
    errors: BTreeSet<String>,
}

impl Counts {
    fn say(&self, name: &str) {
        let Self { good, bad, errors } = self;
        assert!(*bad > 0, "{name}: nothing was refused");
        say(&format!("{name}: {good} verdicts good, {bad} bad for {} reasons", errors.len()));
    }
}

#[track_caller]
fn check_input(spend: &Spend, index: usize, flags: (u32, Flags), case: &dyn Display, counts: &mut Counts) {
    let ours = spend.ours.verify_input(index, flags.1);
    let value = spend.ours.spent()[index].value.0;
    let theirs = verify(&spend.scripts[index], Some(value), &spend.theirs, index, Some(flags.0), &spend.data);
    let theirs = match theirs {
        Ok(()) => true,
        Err(KernelError::ScriptVerify(ScriptVerifyError::Invalid)) => false,
        Err(error) => panic!("{case}: the engine did not answer: {error}"),
    };
    assert_eq!(ours.is_ok(), theirs, "{case}, flags {}: ours {ours:?}, the engine's {theirs}", flags.0);
    match ours {
        Ok(()) => counts.good += 1,
        Err(error) => {
            counts.bad += 1;
            counts.errors.insert(error.to_string());
        }
    }
}

/// How often an input is looked at.
struct Plan {
    /// Combinations for the input as it is; all of them unless said otherwise.
    as_it_is: Option<usize>,
    /// Changed versions of it.
    flips: usize,
    /// Combinations for each of those, besides all flags at once.
    each: usize,
}

/// Checks an input as it is, and changed in one bit of its script or witness.
#[track_caller]
fn check_spend(
    spend: &Spend,
    index: usize,
    plan: &Plan,
    (case, dice): (&str, &mut Dice),
    counts: &mut Counts,
) {
    let combinations = combinations();
    let everything = *combinations.last().expect("there are flags");
    check_input(spend, index, everything, &case, counts);
    match plan.as_it_is {
        None => combinations.iter().for_each(|flags| check_input(spend, index, *flags, &case, counts)),
        Some(count) => {
            (0..count).for_each(|_| check_input(spend, index, dice.pick(&combinations), &case, counts));
        }
    }
    for _ in 0..plan.flips {
        let Some((flipped, bit)) = spend.flipped(index, dice) else { return };
        let case = format!("{case}, bit {bit} of the input");
        check_input(&flipped, index, everything, &case, counts);
        for _ in 0..plan.each {
            check_input(&flipped, index, dice.pick(&combinations), &case, counts);
        }
    }
}

fn output(value: i64, script_pubkey: Vec<u8>) -> TxOut {
    TxOut { value: Amount(value), script_pubkey: Script::from(script_pubkey) }
}

/// Pairs a block's transactions with the outputs they spend, and flips a bit in `samples` of their inputs.
#[track_caller]
fn check_block(folder: &str, seed: u64, samples: usize) {
    let Some(bytes) = read_zstd(&format!("{folder}/raw.zst")) else { return };
    let block = Block::decode(bytes.into()).expect("a real block");
    let entries: Vec<Value> =
        serde_json::from_slice(&read_zstd(&format!("{folder}/spent_utxos.zst")).expect("beside the block"))
            .expect("a list of outputs");
    let mut outputs = entries.iter().map(|entry| {
        let entry = &entry["txout"];
        let script = unhex(entry["script_pubkey"].as_str().expect("hexadecimal"));
        output(entry["value"].as_i64().expect("an amount"), script)
    });
    let mut dice = Dice::new(seed);
    let mut counts = Counts::default();
    let combinations = combinations();
    for transaction in &block.transactions[1..] {
        let inputs = transaction.inputs().len();
        let spent = outputs.by_ref().take(inputs).collect();
        let spend = Spend::new(transaction.clone(), spent);
        for index in 0..inputs {
            if dice.below(entries.len()) >= samples {
                continue;
            }
            let case = format!("{folder}, seed {seed}, {} input {index}", transaction.txid());
            check_input(&spend, index, dice.pick(&combinations), &case, &mut counts);
            if let Some((flipped, bit)) = spend.flipped(index, &mut dice) {
                let case = format!("{case}, bit {bit}");
                for _ in 0..3 {
                    check_input(&flipped, index, dice.pick(&combinations), &case, &mut counts);
                }
            }
        }
    }
    counts.say(folder);
}

#[test]
fn flips_in_inputs_of_a_modern_block_are_judged_alike() {
    check_block("block-866342", 21, 4_000);
}

#[test]
fn flips_in_inputs_of_a_block_of_bare_scripts_are_judged_alike() {
    check_block("block-367891", 22, 2_000);
}

/// Plain files of a tar archive.
fn tar_files(archive: &[u8]) -> Vec<&[u8]> {
    const BLOCK: usize = 512;
    let mut files = Vec::new();
    let mut rest = archive;
    while let Some((header, after)) = rest.split_at_checked(BLOCK)
        && header[0] != 0
    {
        let size = String::from_utf8_lossy(&header[124..136]);
        let size = usize::from_str_radix(size.trim_matches(['\0', ' ']), 8).expect("sizes are octal");
        if matches!(header[156], b'0' | 0) {
            files.push(&after[..size]);
        }
        rest = &after[size.div_ceil(BLOCK) * BLOCK..];
    }
    files
}

#[test]
fn taproot_spends_are_judged_alike() {
    let Some(packed) = read("taproot-ref.tar.zst") else { return };
    let archive = zstd::decode_all(&packed[..]).expect("the file is zstd");
    let mut dice = Dice::new(23);
    let mut counts = Counts::default();
    let plan = Plan { as_it_is: Some(3), flips: 2, each: 1 };
    let files = tar_files(&archive).into_iter().map(|file| {
        // The files were cut out of a list, commas included.
        let end = file.iter().rposition(|byte| *byte == b'}').expect("an object") + 1;
        serde_json::from_slice::<Value>(&file[..end]).expect("JSON")
    });
    for (at, case) in files.enumerate() {
        let text = |value: &Value| unhex(value.as_str().expect("hexadecimal"));
        let transaction = Transaction::decode(text(&case["tx"]).into()).expect("a transaction");
        let spent = case["prevouts"].as_array().expect("a list").iter().map(|prevout| {
            let mut reader = chainwright_utxo::codec::Reader::new(text(prevout).into());
            TxOut::read(&mut reader).expect("an output")
        });
        let base = Spend::new(transaction, spent.collect());
        let index = case["index"].as_u64().expect("a number") as usize;
        for side in ["success", "failure"].iter().filter(|side| case[**side].is_object()) {
            let side = &case[*side];
            let items = side["witness"].as_array().expect("a list").iter().map(text).collect();
            let spend = base.with_input(index, text(&side["scriptSig"]), items);
            check_spend(&spend, index, &plan, (&format!("taproot {at}, seed 23"), &mut dice), &mut counts);
        }
    }
    counts.say("taproot");
}

/// The outputs that a row of `tx_valid.json` or `tx_invalid.json` names, in the order of the inputs.
fn prevouts(row: &Value, transaction: &Transaction) -> Option<Vec<TxOut>> {
    let named: Vec<(OutPoint, TxOut)> = row[0]
        .as_array()?
        .iter()
        .map(|entry| {
            let mut txid: [u8; 32] = unhex(entry[0].as_str()?).try_into().ok()?;
            txid.reverse();
            let index = entry[1].as_i64()? as u32;
            let script = crate::support::parse_script(entry[2].as_str()?);
            let value = entry[3].as_i64().unwrap_or_default();
            Some((OutPoint { txid: Txid(txid), index }, output(value, script)))
        })
        .collect::<Option<_>>()?;
    let find = |input: &chainwright_utxo::tx::TxIn| {
        named
            .iter()
            .find(|(outpoint, _)| *outpoint == input.previous_output)
            .map(|(_, output)| output.clone())
    };
    transaction.inputs().iter().map(find).collect()
}

#[test]
fn transactions_of_the_vectors_are_judged_alike() {
    let mut counts = Counts::default();
    let mut dice = Dice::new(24);
    for name in ["tx_valid.json", "tx_invalid.json"] {
        let Some(rows) = read_list(name) else { return };
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| row[0].is_array()) {
            let bytes = Bytes::from(unhex(row[1].as_str().expect("hexadecimal")));
            let Ok(transaction) = Transaction::decode(bytes) else { continue };
            let Some(spent) = prevouts(row, &transaction) else { continue };
            let spend = Spend::new(transaction, spent);
            for index in 0..spend.scripts.len() {
                let case = format!("{name} row {at}, seed 24, input {index}");
                check_spend(
                    &spend,
                    index,
                    &Plan { as_it_is: None, flips: 10, each: 3 },
                    (&case, &mut dice),
                    &mut counts,
                );
            }
        }
    }
    counts.say("tx_valid and tx_invalid");
}

/// The two transactions around a case of `script_tests.json` (Bitcoin Core `BuildCreditingTransaction`,
/// `BuildSpendingTransaction`).
fn script_case(row: &[Value]) -> Option<Spend> {
    use chainwright_utxo::tx::{TransactionParts, TxIn};
    let has_witness = row[0].is_array();
    let text = |at: usize| row.get(at + usize::from(has_witness)).and_then(Value::as_str);
    let (script_sig, script_pubkey) = (text(0)?, text(1)?);
    text(3)?;
    // Placeholders for keys and trees are filled in by Core's own reader only.
    let items = row[0].as_array().map_or(&[][..], |row| row.split_last().expect("an amount").1);
    if script_pubkey.contains('#')
        || items.iter().any(|item| item.as_str().is_some_and(|item| item.contains('#')))
    {
        return None;
    }
    let amount = row[0].as_array().and_then(|row| row.last()?.as_f64()).unwrap_or_default();
    let credited = output((amount * 1e8).round() as i64, crate::support::parse_script(script_pubkey));
    let input = |previous_output, script_sig, witness| TxIn {
        previous_output,
        script_sig,
        sequence: u32::MAX,
        witness,
    };
    let one = |input: TxIn, output: TxOut| {
        Transaction::new(TransactionParts {
            version: 1,
            inputs: vec![input],
            outputs: vec![output],
            lock_time: 0,
        })
    };
    let credit = one(input(OutPoint::NULL, Script::from(vec![0, 0]), Witness::default()), credited.clone());
    let source = OutPoint { txid: credit.txid(), index: 0 };
    let witness = Witness::from_items(items.iter().map(|item| unhex(item.as_str().expect("hexadecimal"))));
    let script_sig = Script::from(crate::support::parse_script(script_sig));
    let spending =
        one(input(source, script_sig, witness), TxOut { value: credited.value, ..TxOut::default() });
    Some(Spend::new(spending, vec![credited]))
}

#[test]
fn scripts_of_the_vectors_are_judged_alike() {
    let Some(rows) = read_list("script_tests.json") else { return };
    let mut counts = Counts::default();
    let mut dice = Dice::new(25);
    let mut cases = 0;
    for (at, row) in rows.iter().enumerate() {
        if let Some(spend) = row.as_array().and_then(|row| script_case(row)) {
            cases += 1;
            let case = format!("script_tests row {at}, seed 25");
            check_spend(
                &spend,
                0,
                &Plan { as_it_is: None, flips: 10, each: 4 },
                (&case, &mut dice),
                &mut counts,
            );
        }
    }
    assert!(cases > 1_200, "{cases} cases");
    counts.say("script_tests");
}
