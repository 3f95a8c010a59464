//! What a look at a descriptor comes to, after the looks before.

use super::*;
use crate::event_loop::Interest;

fn open() -> Open<()> {
    let fd = Arc::new(());
    Open { fd, nature: Nature::Other, watch: None, next: Next::Rest, was_last: false, is_refused: false }
}

fn look(found: Option<Input>) -> Look<Input> {
    Look { found, next: Next::Wait(Interest::Readable) }
}

fn input(bytes: u64, ended: bool) -> Option<Input> {
    Some(Input { bytes: Some(bytes), ended, failed: false })
}

#[test]
fn only_an_end_is_not_told_twice_in_a_row() {
    let mut open = open();
    for found in [input(5, false), input(5, false), input(5, true), input(5, true), input(0, true)] {
        assert_eq!(open.tell(look(found)), found);
    }
    assert_eq!(open.tell(look(input(0, true))), None);
    assert_eq!(open.tell(look(input(3, true))), input(3, true), "somebody has written again");
    assert_eq!(open.tell(look(input(0, true))), input(0, true));
    assert_eq!(open.tell(look(None)), None, "somebody has come who may write");
    assert_eq!(open.tell(look(input(0, true))), input(0, true));
}

#[test]
fn what_the_kernel_waits_for_no_more_is_told_with_what_is_there_and_then_rests() {
    for (found, told) in [(None, Input::default()), (input(7, false), Input { bytes: Some(7), ..Input::default() })] {
        let mut open = open();
        open.is_refused = true;
        assert_eq!(open.tell(look(found)), Some(Input { failed: true, ..told }));
        assert_eq!((open.next, open.is_refused), (Next::Rest, false));
        // A look after that, when the source is resumed, is one like any other.
        assert_eq!(open.tell(look(found)), found);
        assert_eq!(open.next, Next::Wait(Interest::Readable));
    }
}
