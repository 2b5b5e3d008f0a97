//! What was asked and told, against the journal: lost, doubled, altered, out of order.

use serde_json::json;

use super::{CUSTOMER, accepted, at_slot, command, follow_up, found, lost, renamed, sound};
use crate::checker::{Fault, Told};

#[test]
fn what_was_acknowledged_and_is_not_there_is_lost() {
    let (mut writer, asked) = sound();
    writer.journal.pop();
    assert_eq!(found(&writer, &asked), [lost(4)]);
    // Without its predecessor a record does not count, nor does what follows it.
    let (mut writer, asked) = sound();
    writer.journal.remove(2);
    let faults = found(&writer, &asked);
    assert_eq!(faults[faults.len() - 3..], [lost(2), lost(3), lost(4)]);
    assert_eq!(faults[0], Fault::Misplaced { partition: 0, offset: 3 });
}

#[test]
fn a_command_decided_twice_is_doubled() {
    let (mut writer, asked) = sound();
    writer.decide(&command(4), &accepted(4, 5), &json!([renamed(4, 5)]));
    let faults = found(&writer, &asked);
    assert!(faults.contains(&Fault::Doubled { command_id: "c4".to_owned() }), "{faults:?}");
}

#[test]
fn a_decision_sent_on_and_a_follow_up_are_no_second_decision() {
    let (mut writer, asked) = sound();
    writer.decide(&command(4), &json!({"forwarded": {"partition": 1}}), &json!([]));
    let claimed = json!([{"type": "KeyClaimed.v1", "key": "a", "holder": CUSTOMER}]);
    writer.decide(&follow_up("f", "ClaimKey", "c9"), &at_slot(), &claimed);
    assert_eq!(found(&writer, &asked), []);
    // But a follow-up has one decision, too.
    writer.decide(&follow_up("f", "ClaimKey", "c9"), &at_slot(), &json!([]));
    assert_eq!(found(&writer, &asked), [Fault::Doubled { command_id: "f".to_owned() }]);
}

#[test]
fn commands_of_one_client_to_one_customer_out_of_order_are_found() {
    let (writer, mut asked) = sound();
    asked[1].number = 3;
    asked[2].number = 2;
    assert_eq!(found(&writer, &asked), [Fault::Reordered { client: 7, earlier: 2, later: 3 }]);
    // Two clients, or two customers, have no order between them.
    asked[2].client = 8;
    assert_eq!(found(&writer, &asked), []);
}

#[test]
fn what_nobody_asked_and_what_was_asked_otherwise_are_found() {
    let (writer, mut asked) = sound();
    asked[3].command["patch"]["profile"]["name"] = json!("other");
    asked.remove(2);
    let altered = Fault::Altered { command_id: "c4".to_owned(), member: "patch".to_owned() };
    let unasked = Fault::Unasked { command_id: "c3".to_owned() };
    assert_eq!(found(&writer, &asked), [altered, unasked]);
}

#[test]
fn an_answer_that_is_not_the_journals_is_found() {
    type Change = fn(&mut Told);
    let changes: [(&str, Change); 7] = [
        ("outcome", |told| told.outcome = "rejected".to_owned()),
        ("position", |told| told.position = Some((0, 99))),
        ("position", |told| told.position = Some((1, 5))),
        ("position", |told| told.position = None),
        ("customer_id", |told| told.customer_id = Some("x".to_owned())),
        ("version", |told| told.version = Some(9)),
        ("events", |told| told.events = Some(json!([]))),
    ];
    for (what, change) in changes {
        let (writer, mut asked) = sound();
        change(asked[3].told.as_mut().unwrap());
        let otherwise = Fault::ToldOtherwise { command_id: "c4".to_owned(), what };
        assert_eq!(found(&writer, &asked), [otherwise]);
    }
}
