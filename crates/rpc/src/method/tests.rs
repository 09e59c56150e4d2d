//! Arguments by position and by name, help and refusals.

use super::*;

fn example() -> Method {
    Method {
        name: "getblock",
        category: "blockchain",
        parameters: const {
            &[
                Parameter::required("blockhash", Kind::Hex, "The block hash"),
                Parameter::optional("verbosity|verbose", Kind::NumberLike, "1", "How much"),
                Parameter::optional("last", Kind::Bool, "", "The last one"),
            ]
        },
        description: "A block.\n",
        handler: Arc::new(|_| Ok(Value::Null)),
    }
}

#[track_caller]
fn check_positional(params: Value, expected: Result<Value, (i32, &str)>) {
    let got = example().positional(params).map(Value::from);
    match expected {
        Ok(expected) => assert_eq!(got, Ok(expected)),
        Err((code, message)) => {
            let error = got.expect_err("should be refused");
            assert_eq!(error.code, code);
            assert!(error.message.contains(message), "{}", error.message);
        }
    }
}

#[test]
fn usage_groups_optional_parameters() {
    assert_eq!(example().usage(), "getblock \"blockhash\" ( verbosity last )");
    let help = example().help();
    assert!(
        help.starts_with("getblock \"blockhash\" ( verbosity last )\n\nA block.\n\nArguments:\n1. blockhash")
    );
    assert!(help.contains("2. verbosity    (numeric, optional, default=1) How much\n"));
}

#[test]
fn positions_are_filled_up_with_null() {
    check_positional(json!(["aa"]), Ok(json!(["aa", null, null])));
    check_positional(json!(["aa", true, false]), Ok(json!(["aa", true, false])));
}

#[test]
fn names_find_their_positions() {
    check_positional(json!({"blockhash": "aa", "verbose": 2}), Ok(json!(["aa", 2, null])));
    check_positional(json!({"args": ["aa"], "last": true}), Ok(json!(["aa", null, true])));
    check_positional(json!({"nosuch": 1, "blockhash": "aa"}), Err((-8, "Unknown named parameter nosuch")));
    let twice = "Parameter verbosity|verbose specified twice both as positional and named argument";
    check_positional(json!({"args": ["aa", 1], "verbosity": 2}), Err((-8, twice)));
}

#[test]
fn too_few_and_too_many_parameters_show_the_help() {
    check_positional(json!([]), Err((-1, "getblock \"blockhash\" ( verbosity last )\n\nA block.")));
    check_positional(json!(["aa", 1, true, 4]), Err((-1, "getblock")));
}

#[test]
fn wrong_types_are_all_named() {
    let both = "Wrong type passed:\n{\n    \"Position 1 (blockhash)\": \"JSON value of type number is not of \
                expected type string\",\n    \"Position 3 (last)\": \"JSON value of type string is not of \
                expected type bool\"\n}";
    check_positional(json!([1, 1, "x"]), Err((-3, both)));
    check_positional(json!([null]), Err((-3, "Position 1")));
}
