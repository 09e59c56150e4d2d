//! The opcodes and their names (Bitcoin Core `script/script.h` and `GetOpName`).

/// Pushes the empty item.
pub const OP_0: u8 = 0x00;
/// Pushes as many bytes as the next byte says.
pub const OP_PUSHDATA1: u8 = 0x4c;
/// Pushes as many bytes as the next two bytes say.
pub const OP_PUSHDATA2: u8 = 0x4d;
/// Pushes as many bytes as the next four bytes say.
pub const OP_PUSHDATA4: u8 = 0x4e;
/// Pushes −1.
pub const OP_1NEGATE: u8 = 0x4f;
/// Fails when run; counts as a push all the same.
pub const OP_RESERVED: u8 = 0x50;
/// Pushes 1; the opcodes up to [`OP_16`] push their numbers.
pub const OP_1: u8 = 0x51;
/// Pushes 16.
pub const OP_16: u8 = 0x60;
/// `NOP`, as in Bitcoin Core's `opcodetype`.
pub const OP_NOP: u8 = 0x61;
/// `VER`, as in Bitcoin Core's `opcodetype`.
pub const OP_VER: u8 = 0x62;
/// `IF`, as in Bitcoin Core's `opcodetype`.
pub const OP_IF: u8 = 0x63;
/// `NOTIF`, as in Bitcoin Core's `opcodetype`.
pub const OP_NOTIF: u8 = 0x64;
/// `VERIF`, as in Bitcoin Core's `opcodetype`.
pub const OP_VERIF: u8 = 0x65;
/// `VERNOTIF`, as in Bitcoin Core's `opcodetype`.
pub const OP_VERNOTIF: u8 = 0x66;
/// `ELSE`, as in Bitcoin Core's `opcodetype`.
pub const OP_ELSE: u8 = 0x67;
/// `ENDIF`, as in Bitcoin Core's `opcodetype`.
pub const OP_ENDIF: u8 = 0x68;
/// `VERIFY`, as in Bitcoin Core's `opcodetype`.
pub const OP_VERIFY: u8 = 0x69;
/// `RETURN`, as in Bitcoin Core's `opcodetype`.
pub const OP_RETURN: u8 = 0x6a;
/// `TOALTSTACK`, as in Bitcoin Core's `opcodetype`.
pub const OP_TOALTSTACK: u8 = 0x6b;
/// `FROMALTSTACK`, as in Bitcoin Core's `opcodetype`.
pub const OP_FROMALTSTACK: u8 = 0x6c;
/// `2DROP`, as in Bitcoin Core's `opcodetype`.
pub const OP_2DROP: u8 = 0x6d;
/// `2DUP`, as in Bitcoin Core's `opcodetype`.
pub const OP_2DUP: u8 = 0x6e;
/// `3DUP`, as in Bitcoin Core's `opcodetype`.
pub const OP_3DUP: u8 = 0x6f;
/// `2OVER`, as in Bitcoin Core's `opcodetype`.
pub const OP_2OVER: u8 = 0x70;
/// `2ROT`, as in Bitcoin Core's `opcodetype`.
pub const OP_2ROT: u8 = 0x71;
/// `2SWAP`, as in Bitcoin Core's `opcodetype`.
pub const OP_2SWAP: u8 = 0x72;
/// `IFDUP`, as in Bitcoin Core's `opcodetype`.
pub const OP_IFDUP: u8 = 0x73;
/// `DEPTH`, as in Bitcoin Core's `opcodetype`.
pub const OP_DEPTH: u8 = 0x74;
/// `DROP`, as in Bitcoin Core's `opcodetype`.
pub const OP_DROP: u8 = 0x75;
/// `DUP`, as in Bitcoin Core's `opcodetype`.
pub const OP_DUP: u8 = 0x76;
/// `NIP`, as in Bitcoin Core's `opcodetype`.
pub const OP_NIP: u8 = 0x77;
/// `OVER`, as in Bitcoin Core's `opcodetype`.
pub const OP_OVER: u8 = 0x78;
/// `PICK`, as in Bitcoin Core's `opcodetype`.
pub const OP_PICK: u8 = 0x79;
/// `ROLL`, as in Bitcoin Core's `opcodetype`.
pub const OP_ROLL: u8 = 0x7a;
/// `ROT`, as in Bitcoin Core's `opcodetype`.
pub const OP_ROT: u8 = 0x7b;
/// `SWAP`, as in Bitcoin Core's `opcodetype`.
pub const OP_SWAP: u8 = 0x7c;
/// `TUCK`, as in Bitcoin Core's `opcodetype`.
pub const OP_TUCK: u8 = 0x7d;
/// `CAT`, as in Bitcoin Core's `opcodetype`.
pub const OP_CAT: u8 = 0x7e;
/// `SUBSTR`, as in Bitcoin Core's `opcodetype`.
pub const OP_SUBSTR: u8 = 0x7f;
/// `LEFT`, as in Bitcoin Core's `opcodetype`.
pub const OP_LEFT: u8 = 0x80;
/// `RIGHT`, as in Bitcoin Core's `opcodetype`.
pub const OP_RIGHT: u8 = 0x81;
/// `SIZE`, as in Bitcoin Core's `opcodetype`.
pub const OP_SIZE: u8 = 0x82;
/// `INVERT`, as in Bitcoin Core's `opcodetype`.
pub const OP_INVERT: u8 = 0x83;
/// `AND`, as in Bitcoin Core's `opcodetype`.
pub const OP_AND: u8 = 0x84;
/// `OR`, as in Bitcoin Core's `opcodetype`.
pub const OP_OR: u8 = 0x85;
/// `XOR`, as in Bitcoin Core's `opcodetype`.
pub const OP_XOR: u8 = 0x86;
/// `EQUAL`, as in Bitcoin Core's `opcodetype`.
pub const OP_EQUAL: u8 = 0x87;
/// `EQUALVERIFY`, as in Bitcoin Core's `opcodetype`.
pub const OP_EQUALVERIFY: u8 = 0x88;
/// `RESERVED1`, as in Bitcoin Core's `opcodetype`.
pub const OP_RESERVED1: u8 = 0x89;
/// `RESERVED2`, as in Bitcoin Core's `opcodetype`.
pub const OP_RESERVED2: u8 = 0x8a;
/// `1ADD`, as in Bitcoin Core's `opcodetype`.
pub const OP_1ADD: u8 = 0x8b;
/// `1SUB`, as in Bitcoin Core's `opcodetype`.
pub const OP_1SUB: u8 = 0x8c;
/// `2MUL`, as in Bitcoin Core's `opcodetype`.
pub const OP_2MUL: u8 = 0x8d;
/// `2DIV`, as in Bitcoin Core's `opcodetype`.
pub const OP_2DIV: u8 = 0x8e;
/// `NEGATE`, as in Bitcoin Core's `opcodetype`.
pub const OP_NEGATE: u8 = 0x8f;
/// `ABS`, as in Bitcoin Core's `opcodetype`.
pub const OP_ABS: u8 = 0x90;
/// `NOT`, as in Bitcoin Core's `opcodetype`.
pub const OP_NOT: u8 = 0x91;
/// `0NOTEQUAL`, as in Bitcoin Core's `opcodetype`.
pub const OP_0NOTEQUAL: u8 = 0x92;
/// `ADD`, as in Bitcoin Core's `opcodetype`.
pub const OP_ADD: u8 = 0x93;
/// `SUB`, as in Bitcoin Core's `opcodetype`.
pub const OP_SUB: u8 = 0x94;
/// `MUL`, as in Bitcoin Core's `opcodetype`.
pub const OP_MUL: u8 = 0x95;
/// `DIV`, as in Bitcoin Core's `opcodetype`.
pub const OP_DIV: u8 = 0x96;
/// `MOD`, as in Bitcoin Core's `opcodetype`.
pub const OP_MOD: u8 = 0x97;
/// `LSHIFT`, as in Bitcoin Core's `opcodetype`.
pub const OP_LSHIFT: u8 = 0x98;
/// `RSHIFT`, as in Bitcoin Core's `opcodetype`.
pub const OP_RSHIFT: u8 = 0x99;
/// `BOOLAND`, as in Bitcoin Core's `opcodetype`.
pub const OP_BOOLAND: u8 = 0x9a;
/// `BOOLOR`, as in Bitcoin Core's `opcodetype`.
pub const OP_BOOLOR: u8 = 0x9b;
/// `NUMEQUAL`, as in Bitcoin Core's `opcodetype`.
pub const OP_NUMEQUAL: u8 = 0x9c;
/// `NUMEQUALVERIFY`, as in Bitcoin Core's `opcodetype`.
pub const OP_NUMEQUALVERIFY: u8 = 0x9d;
/// `NUMNOTEQUAL`, as in Bitcoin Core's `opcodetype`.
pub const OP_NUMNOTEQUAL: u8 = 0x9e;
/// `LESSTHAN`, as in Bitcoin Core's `opcodetype`.
pub const OP_LESSTHAN: u8 = 0x9f;
/// `GREATERTHAN`, as in Bitcoin Core's `opcodetype`.
pub const OP_GREATERTHAN: u8 = 0xa0;
/// `LESSTHANOREQUAL`, as in Bitcoin Core's `opcodetype`.
pub const OP_LESSTHANOREQUAL: u8 = 0xa1;
/// `GREATERTHANOREQUAL`, as in Bitcoin Core's `opcodetype`.
pub const OP_GREATERTHANOREQUAL: u8 = 0xa2;
/// `MIN`, as in Bitcoin Core's `opcodetype`.
pub const OP_MIN: u8 = 0xa3;
/// `MAX`, as in Bitcoin Core's `opcodetype`.
pub const OP_MAX: u8 = 0xa4;
/// `WITHIN`, as in Bitcoin Core's `opcodetype`.
pub const OP_WITHIN: u8 = 0xa5;
/// `RIPEMD160`, as in Bitcoin Core's `opcodetype`.
pub const OP_RIPEMD160: u8 = 0xa6;
/// `SHA1`, as in Bitcoin Core's `opcodetype`.
pub const OP_SHA1: u8 = 0xa7;
/// `SHA256`, as in Bitcoin Core's `opcodetype`.
pub const OP_SHA256: u8 = 0xa8;
/// `HASH160`, as in Bitcoin Core's `opcodetype`.
pub const OP_HASH160: u8 = 0xa9;
/// `HASH256`, as in Bitcoin Core's `opcodetype`.
pub const OP_HASH256: u8 = 0xaa;
/// `CODESEPARATOR`, as in Bitcoin Core's `opcodetype`.
pub const OP_CODESEPARATOR: u8 = 0xab;
/// `CHECKSIG`, as in Bitcoin Core's `opcodetype`.
pub const OP_CHECKSIG: u8 = 0xac;
/// `CHECKSIGVERIFY`, as in Bitcoin Core's `opcodetype`.
pub const OP_CHECKSIGVERIFY: u8 = 0xad;
/// `CHECKMULTISIG`, as in Bitcoin Core's `opcodetype`.
pub const OP_CHECKMULTISIG: u8 = 0xae;
/// `CHECKMULTISIGVERIFY`, as in Bitcoin Core's `opcodetype`.
pub const OP_CHECKMULTISIGVERIFY: u8 = 0xaf;
/// `NOP1`, as in Bitcoin Core's `opcodetype`.
pub const OP_NOP1: u8 = 0xb0;
/// Asks for the transaction's lock time (BIP-0065); once NOP2.
pub const OP_CHECKLOCKTIMEVERIFY: u8 = 0xb1;
/// Asks for the input's relative lock time (BIP-0112); once NOP3.
pub const OP_CHECKSEQUENCEVERIFY: u8 = 0xb2;
/// `NOP4`, as in Bitcoin Core's `opcodetype`.
pub const OP_NOP4: u8 = 0xb3;
/// `NOP5`, as in Bitcoin Core's `opcodetype`.
pub const OP_NOP5: u8 = 0xb4;
/// `NOP6`, as in Bitcoin Core's `opcodetype`.
pub const OP_NOP6: u8 = 0xb5;
/// `NOP7`, as in Bitcoin Core's `opcodetype`.
pub const OP_NOP7: u8 = 0xb6;
/// `NOP8`, as in Bitcoin Core's `opcodetype`.
pub const OP_NOP8: u8 = 0xb7;
/// `NOP9`, as in Bitcoin Core's `opcodetype`.
pub const OP_NOP9: u8 = 0xb8;
/// `NOP10`, as in Bitcoin Core's `opcodetype`.
pub const OP_NOP10: u8 = 0xb9;
/// Adds 1 for a good signature (BIP-0342); Tapscript only.
pub const OP_CHECKSIGADD: u8 = 0xba;
/// Never valid.
pub const OP_INVALIDOPCODE: u8 = 0xff;

/// What Bitcoin Core calls an opcode in disassembly: small numbers as themselves, the rest with `OP_`.
pub const fn opcode_name(opcode: u8) -> &'static str {
    const SMALL: [&str; 16] =
        ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"];
    match opcode {
        OP_0 => "0",
        1..OP_PUSHDATA1 => "OP_UNKNOWN",
        OP_1..=OP_16 => SMALL[(opcode - OP_1) as usize],
        OP_PUSHDATA1..OP_1 | OP_NOP..OP_SIZE => early_name(opcode),
        _ => late_name(opcode),
    }
}

/// Names below [`OP_SIZE`].
const fn early_name(opcode: u8) -> &'static str {
    match opcode {
        OP_PUSHDATA1 => "OP_PUSHDATA1",
        OP_PUSHDATA2 => "OP_PUSHDATA2",
        OP_PUSHDATA4 => "OP_PUSHDATA4",
        OP_1NEGATE => "-1",
        OP_RESERVED => "OP_RESERVED",
        OP_NOP => "OP_NOP",
        OP_VER => "OP_VER",
        OP_IF => "OP_IF",
        OP_NOTIF => "OP_NOTIF",
        OP_VERIF => "OP_VERIF",
        OP_VERNOTIF => "OP_VERNOTIF",
        OP_ELSE => "OP_ELSE",
        OP_ENDIF => "OP_ENDIF",
        OP_VERIFY => "OP_VERIFY",
        OP_RETURN => "OP_RETURN",
        OP_TOALTSTACK => "OP_TOALTSTACK",
        OP_FROMALTSTACK => "OP_FROMALTSTACK",
        OP_2DROP => "OP_2DROP",
        OP_2DUP => "OP_2DUP",
        OP_3DUP => "OP_3DUP",
        OP_2OVER => "OP_2OVER",
        OP_2ROT => "OP_2ROT",
        OP_2SWAP => "OP_2SWAP",
        OP_IFDUP => "OP_IFDUP",
        OP_DEPTH => "OP_DEPTH",
        OP_DROP => "OP_DROP",
        OP_DUP => "OP_DUP",
        OP_NIP => "OP_NIP",
        OP_OVER => "OP_OVER",
        OP_PICK => "OP_PICK",
        OP_ROLL => "OP_ROLL",
        OP_ROT => "OP_ROT",
        OP_SWAP => "OP_SWAP",
        OP_TUCK => "OP_TUCK",
        OP_CAT => "OP_CAT",
        OP_SUBSTR => "OP_SUBSTR",
        OP_LEFT => "OP_LEFT",
        OP_RIGHT => "OP_RIGHT",
        _ => "OP_UNKNOWN",
    }
}

/// Names from [`OP_SIZE`] on.
const fn late_name(opcode: u8) -> &'static str {
    match opcode {
        OP_SIZE => "OP_SIZE",
        OP_INVERT => "OP_INVERT",
        OP_AND => "OP_AND",
        OP_OR => "OP_OR",
        OP_XOR => "OP_XOR",
        OP_EQUAL => "OP_EQUAL",
        OP_EQUALVERIFY => "OP_EQUALVERIFY",
        OP_RESERVED1 => "OP_RESERVED1",
        OP_RESERVED2 => "OP_RESERVED2",
        OP_1ADD => "OP_1ADD",
        OP_1SUB => "OP_1SUB",
        OP_2MUL => "OP_2MUL",
        OP_2DIV => "OP_2DIV",
        OP_NEGATE => "OP_NEGATE",
        OP_ABS => "OP_ABS",
        OP_NOT => "OP_NOT",
        OP_0NOTEQUAL => "OP_0NOTEQUAL",
        OP_ADD => "OP_ADD",
        OP_SUB => "OP_SUB",
        OP_MUL => "OP_MUL",
        OP_DIV => "OP_DIV",
        OP_MOD => "OP_MOD",
        OP_LSHIFT => "OP_LSHIFT",
        OP_RSHIFT => "OP_RSHIFT",
        OP_BOOLAND => "OP_BOOLAND",
        OP_BOOLOR => "OP_BOOLOR",
        OP_NUMEQUAL => "OP_NUMEQUAL",
        OP_NUMEQUALVERIFY => "OP_NUMEQUALVERIFY",
        OP_NUMNOTEQUAL => "OP_NUMNOTEQUAL",
        OP_LESSTHAN => "OP_LESSTHAN",
        OP_GREATERTHAN => "OP_GREATERTHAN",
        OP_LESSTHANOREQUAL => "OP_LESSTHANOREQUAL",
        OP_GREATERTHANOREQUAL => "OP_GREATERTHANOREQUAL",
        OP_MIN => "OP_MIN",
        OP_MAX => "OP_MAX",
        OP_WITHIN => "OP_WITHIN",
        OP_RIPEMD160 => "OP_RIPEMD160",
        OP_SHA1 => "OP_SHA1",
        OP_SHA256 => "OP_SHA256",
        OP_HASH160 => "OP_HASH160",
        OP_HASH256 => "OP_HASH256",
        OP_CODESEPARATOR => "OP_CODESEPARATOR",
        OP_CHECKSIG => "OP_CHECKSIG",
        OP_CHECKSIGVERIFY => "OP_CHECKSIGVERIFY",
        OP_CHECKMULTISIG => "OP_CHECKMULTISIG",
        OP_CHECKMULTISIGVERIFY => "OP_CHECKMULTISIGVERIFY",
        OP_NOP1 => "OP_NOP1",
        OP_CHECKLOCKTIMEVERIFY => "OP_CHECKLOCKTIMEVERIFY",
        OP_CHECKSEQUENCEVERIFY => "OP_CHECKSEQUENCEVERIFY",
        OP_NOP4 => "OP_NOP4",
        OP_NOP5 => "OP_NOP5",
        OP_NOP6 => "OP_NOP6",
        OP_NOP7 => "OP_NOP7",
        OP_NOP8 => "OP_NOP8",
        OP_NOP9 => "OP_NOP9",
        OP_NOP10 => "OP_NOP10",
        OP_CHECKSIGADD => "OP_CHECKSIGADD",
        OP_INVALIDOPCODE => "OP_INVALIDOPCODE",
        _ => "OP_UNKNOWN",
    }
}
