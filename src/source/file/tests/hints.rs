//! What is kept of what was told, and how much of it.

use super::*;

const DIRECTORY: u64 = FIRST + 5;
const OF_FILE: u64 = ITSELF | FIRST;

fn add(hints: &mut Hints, mark: u64, told: Told, name: Option<&str>) -> Hearing {
    hints.add(mark, told, name.map(OsStr::new), MOST)
}

#[test]
fn hints_say_where_to_look() {
    let mut hints = Hints::default();
    assert!(hints.is_nothing());
    assert_eq!(add(&mut hints, DIRECTORY, Told::MODIFY, Some("a")), Hearing::More);
    assert_eq!(hints.directories[&DIRECTORY].entries.keys().collect::<Vec<_>>(), ["a"]);
    assert!(!hints.directories[&DIRECTORY].all && !hints.way && !hints.is_nothing());
    add(&mut hints, WAY, Told::CREATE, Some("b"));
    assert!(hints.way && !hints.away && hints.entry.is_nothing());
    add(&mut hints, LAST, Told::MOVED_FROM, Some("c"));
    assert!(hints.away && hints.entry.has(Told::MOVED_FROM));
    let mut hints = Hints::default();
    add(&mut hints, OF_FILE, Told::MODIFY, None);
    assert!(hints.itself[&OF_FILE].has(Told::MODIFY) && !hints.way);
    add(&mut hints, OF_FILE, Told::MOVE_SELF, None);
    assert!(hints.way && !hints.itself[&OF_FILE].has(Told::MOVE_SELF));
    // A directory that is watched like a file is written by its entries.
    let mut hints = Hints::default();
    add(&mut hints, OF_FILE, Told::ATTRIB, Some("entry"));
    assert_eq!(hints.itself[&OF_FILE], Heard::default());
    add(&mut hints, OF_FILE, Told::CREATE, Some("entry"));
    assert!(hints.itself[&OF_FILE].has(Told::MODIFY));
}

#[test]
fn a_mark_that_tells_too_much_is_heard_no_more_and_everything_of_it_is_looked_at() {
    for (mark, name) in [(DIRECTORY, Some("same")), (WAY, Some("same")), (LAST, Some("same")), (OF_FILE, None)] {
        let mut hints = Hints::default();
        for _ in 1..MOST {
            assert_eq!(add(&mut hints, mark, Told::ATTRIB, name), Hearing::More);
        }
        assert_eq!(add(&mut hints, mark, Told::ATTRIB, name), Hearing::Enough);
        assert!(hints.way || hints.directories[&DIRECTORY].all);
    }
}

#[test]
fn names_are_kept_up_to_a_bound() {
    let mut hints = Hints::default();
    for name in 0..10 * MOST {
        let hearing = hints.add(DIRECTORY, Told::CREATE, Some(OsStr::new(&name.to_string())), u32::MAX);
        assert_eq!(hearing, Hearing::More);
    }
    let of_directory = &hints.directories[&DIRECTORY];
    assert_eq!((of_directory.entries.len(), of_directory.all), (MOST as usize, true));
}

#[test]
fn a_mark_whose_inode_has_gone_is_dead_at_once() {
    let mut hints = Hints::default();
    assert_eq!(hints.add(DIRECTORY, Told::IGNORED, None, u32::MAX), Hearing::Enough);
    assert!(hints.directories[&DIRECTORY].all);
}

#[test]
fn patience_depends_on_whether_anybody_will_look() {
    assert_eq!((patience(false, false), patience(true, false)), (MOST, 1));
    assert_eq!((patience(false, true), patience(true, true)), (u32::MAX, u32::MAX));
}
