//! Contracts written by hand: everything the machine can do is in reach of a call with the right words.

use alloy_primitives::{Address, Bytes, address};
use revm::bytecode::opcode::OpCode;

/// Writes `count` slots from `start` on: multiples of `value`, or zeros. Input: start, count, value. Logs them.
pub(crate) const STORE: Address = address!("00000000000000000000000000000000000c0001");
/// Gives back what it sees of block, transaction and chain, and of the account in its input. Logs it.
pub(crate) const MIRROR: Address = address!("00000000000000000000000000000000000c0002");
/// Fails in the way its input says.
pub(crate) const FAILURE: Address = address!("00000000000000000000000000000000000c0003");
/// Calls: kind (call, delegatecall, staticcall, callcode), target, value, then the input for it. Gives back what it got.
pub(crate) const CALLER: Address = address!("00000000000000000000000000000000000c0004");
/// Creates: kind (create, create2), salt, then init code. Gives back the address.
pub(crate) const FACTORY: Address = address!("00000000000000000000000000000000000c0005");
/// Destroys itself for the account in its input.
pub(crate) const ENDER: Address = address!("00000000000000000000000000000000000c0006");
/// Keeps a word from one call to itself to the next (EIP-1153), then gives it back.
pub(crate) const MEMO: Address = address!("00000000000000000000000000000000000c0007");

const STORE_CODE: &str = "
    0x20 CALLDATALOAD
    :loop DUP1 ISZERO @end JUMPI
    0x01 SWAP1 SUB
    DUP1 0x01 ADD 0x40 CALLDATALOAD MUL
    DUP2 0x00 CALLDATALOAD ADD SSTORE
    @loop JUMP
    :end 0x20 CALLDATALOAD 0x00 MSTORE
    0x40 CALLDATALOAD 0x00 CALLDATALOAD 0x20 0x00 LOG2
    0x00 CALLDATALOAD SLOAD 0x20 MSTORE 0x20 0x20 RETURN";

/// Each word is pushed by its group and stored behind the one before.
const MIRROR_WORDS: [&str; 26] = [
    "NUMBER",
    "TIMESTAMP",
    "COINBASE",
    "DIFFICULTY",
    "GASLIMIT",
    "CHAINID",
    "BASEFEE",
    "BLOBBASEFEE",
    "SELFBALANCE",
    "CALLER",
    "ORIGIN",
    "ADDRESS",
    "GASPRICE",
    "CALLVALUE",
    "CALLDATASIZE",
    "CODESIZE",
    "0x01 NUMBER SUB BLOCKHASH",
    "0x05 BLOCKHASH",
    "0x00 BLOBHASH",
    "0x00 CALLDATALOAD BALANCE",
    "0x00 CALLDATALOAD EXTCODEHASH",
    "0x00 CALLDATALOAD EXTCODESIZE",
    "0x00 CALLDATALOAD SLOAD",
    "0x00 CALLDATALOAD CLZ",
    "GAS",
    "MSIZE",
];

const FAILURE_CODE: &str = "
    0x00 CALLDATALOAD
    DUP1 ISZERO @words JUMPI
    DUP1 0x01 EQ @custom JUMPI
    DUP1 0x02 EQ @silent JUMPI
    DUP1 0x03 EQ @invalid JUMPI
    DUP1 0x04 EQ @endless JUMPI
    DUP1 0x05 EQ @panic JUMPI
    DUP1 0x06 EQ @underflow JUMPI
    DUP1 0x07 EQ @nowhere JUMPI
    DUP1 0x08 EQ @beyond JUMPI
    DUP1 0x09 EQ @unknown JUMPI
    STOP
    :words 0x08c379a0 0xe0 SHL 0x00 MSTORE 0x20 0x04 MSTORE 0x0c 0x24 MSTORE
        0x6e6f2073756368206c75636b 0xa0 SHL 0x44 MSTORE 0x64 0x00 REVERT
    :custom 0x12345678 0xe0 SHL 0x00 MSTORE 0x20 CALLDATALOAD 0x04 MSTORE 0x24 0x00 REVERT
    :silent 0x00 0x00 REVERT
    :invalid INVALID
    :endless @endless JUMP
    :panic 0x4e487b71 0xe0 SHL 0x00 MSTORE 0x11 0x04 MSTORE 0x24 0x00 REVERT
    :underflow POP POP STOP
    :nowhere 0x01 JUMP
    :beyond 0x20 0x00 0x00 RETURNDATACOPY
    :unknown !c0";

const CALLER_CODE: &str = "
    0x60 CALLDATASIZE SUB 0x60 0x00 CALLDATACOPY
    0x00 CALLDATALOAD
    DUP1 0x01 EQ @delegate JUMPI
    DUP1 0x02 EQ @static JUMPI
    DUP1 0x03 EQ @code JUMPI
    0x00 0x00 0x60 CALLDATASIZE SUB 0x00 0x40 CALLDATALOAD 0x20 CALLDATALOAD GAS CALL @done JUMP
    :code 0x00 0x00 0x60 CALLDATASIZE SUB 0x00 0x40 CALLDATALOAD 0x20 CALLDATALOAD GAS CALLCODE @done JUMP
    :delegate 0x00 0x00 0x60 CALLDATASIZE SUB 0x00 0x20 CALLDATALOAD GAS DELEGATECALL @done JUMP
    :static 0x00 0x00 0x60 CALLDATASIZE SUB 0x00 0x20 CALLDATALOAD GAS STATICCALL
    :done RETURNDATASIZE 0x00 0x00 RETURNDATACOPY
    @good JUMPI RETURNDATASIZE 0x00 REVERT
    :good RETURNDATASIZE 0x00 RETURN";

const FACTORY_CODE: &str = "
    0x40 CALLDATASIZE SUB 0x40 0x00 CALLDATACOPY
    0x00 CALLDATALOAD @second JUMPI
    0x40 CALLDATASIZE SUB 0x00 CALLVALUE CREATE @done JUMP
    :second 0x20 CALLDATALOAD 0x40 CALLDATASIZE SUB 0x00 CALLVALUE CREATE2
    :done 0x00 MSTORE 0x00 MLOAD 0x20 0x00 LOG1 0x20 0x00 RETURN";

const MEMO_CODE: &str = "
    CALLDATASIZE ISZERO @recall JUMPI
    0x00 CALLDATALOAD 0x07 TSTORE
    0x20 0x00 0x00 0x00 0x00 ADDRESS GAS CALL POP
    0x00 MLOAD 0x07 SSTORE
    0x20 0x00 RETURN
    :recall 0x07 TLOAD 0x00 MSTORE 0x20 0x00 RETURN";

/// Contracts that are there from the first block on.
pub(crate) fn all() -> Vec<(Address, Bytes)> {
    vec![
        (STORE, assemble(STORE_CODE)),
        (MIRROR, mirror()),
        (FAILURE, assemble(FAILURE_CODE)),
        (CALLER, assemble(CALLER_CODE)),
        (FACTORY, assemble(FACTORY_CODE)),
        (ENDER, assemble("0x00 CALLDATALOAD SELFDESTRUCT")),
        (MEMO, assemble(MEMO_CODE)),
    ]
}

fn mirror() -> Bytes {
    let words = MIRROR_WORDS.iter().enumerate();
    let stored: Vec<_> = words.map(|(at, word)| format!("{word} {:#06x} MSTORE", at * 32)).collect();
    let size = MIRROR_WORDS.len() * 32;
    assemble(&format!("{} CALLER 0x40 0x00 LOG1 {size:#06x} 0x00 RETURN", stored.join(" ")))
}

/// Init code that installs a contract's code and writes a slot.
pub(crate) fn installing(code: &[u8]) -> Bytes {
    let size = code.len();
    let mut init =
        assemble(&format!("0x2a 0x00 SSTORE {size:#06x} @rest 0x00 CODECOPY {size:#06x} 0x00 RETURN :rest"))
            .to_vec();
    // The label's own byte is not part of what is installed.
    init.pop();
    init.extend_from_slice(code);
    init.into()
}

/// Init code of a contract that never is: it destroys itself while it is made.
pub(crate) fn stillborn() -> Bytes {
    assemble("0x2a 0x00 SSTORE CALLER SELFDESTRUCT")
}

/// Bytes of a program: names of instructions, `0x…` to push a constant, `:name` for a place, `@name` to push it, `!…` for bytes
/// as they are.
pub(crate) fn assemble(program: &str) -> Bytes {
    let mut code = Vec::new();
    let (mut places, mut uses) = (Vec::new(), Vec::new());
    for word in program.split_whitespace() {
        let digits = |text: &str| alloy_primitives::hex::decode(text).unwrap();
        match word.split_at(1) {
            (":", name) => {
                places.push((name, code.len() as u16));
                code.push(OpCode::JUMPDEST.get());
            }
            ("@", name) => {
                code.push(OpCode::PUSH2.get());
                uses.push((code.len(), name));
                code.extend([0, 0]);
            }
            ("!", bytes) => code.extend(digits(bytes)),
            ("0", _) => {
                let constant = digits(word);
                code.push(OpCode::PUSH0.get() + constant.len() as u8);
                code.extend(constant);
            }
            _ => code.push(instruction(word)),
        }
    }
    for (at, name) in uses {
        let (_, place) = places.iter().find(|(place, _)| *place == name).expect("the place is named");
        code[at..at + 2].copy_from_slice(&place.to_be_bytes());
    }
    code.into()
}

fn instruction(name: &str) -> u8 {
    let found = (0..=u8::MAX).filter_map(OpCode::new).find(|code| code.as_str() == name);
    found.unwrap_or_else(|| panic!("no instruction {name}")).get()
}

/// Words side by side, as input.
pub(crate) fn words(words: &[alloy_primitives::U256]) -> Vec<u8> {
    words.iter().flat_map(alloy_primitives::U256::to_be_bytes::<32>).collect()
}
