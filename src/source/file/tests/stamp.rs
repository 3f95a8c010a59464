//! Which events a difference means.

use super::*;

const ALL_TOLD: [Told; 5] = [Told::CREATE, Told::DELETE, Told::MOVED_FROM, Told::MOVED_TO, Told::MODIFY];

fn file() -> Stamp {
    Stamp {
        device: 1,
        inode: 2,
        mode: 0o100_644,
        links: 1,
        owner: (0, 0),
        size: 100,
        written: (10, 0),
        changed: (10, 0),
    }
}

fn directory() -> Stamp {
    Stamp { mode: 0o040_755, ..file() }
}

fn heard(told: impl IntoIterator<Item = Told>) -> Heard {
    let mut heard = Heard::default().partial(true);
    told.into_iter().for_each(|told| heard.add(told));
    heard
}

fn between(before: Stamp, now: Stamp, told: impl IntoIterator<Item = Told>) -> FileEvents {
    difference(Some(&before), Some(&now), heard(told), true)
}

#[test]
fn nothing_heard_and_nothing_seen_is_nothing() {
    for stamp in [file(), directory()] {
        assert_eq!(between(stamp, stamp, []), FileEvents::NONE);
        assert_eq!(between(stamp, stamp, [Told::CLOSE_WRITE]), FileEvents::NONE, "it is a hint to look");
    }
    assert_eq!(difference(None, None, heard([]), true), FileEvents::NONE);
}

#[test]
fn writing_is_told_from_growing_and_linking_from_changing_attributes() {
    let (before, later) = (file(), (11, 0));
    let written = Stamp { written: later, changed: later, ..before };
    assert_eq!(between(before, written, [Told::MODIFY]), FileEvents::WRITE);
    assert_eq!(between(before, before, [Told::MODIFY]), FileEvents::WRITE, "a clock may be too coarse");
    let grown = Stamp { size: 101, ..written };
    assert_eq!(between(before, grown, [Told::MODIFY]), FileEvents::WRITE | FileEvents::EXTEND);
    assert_eq!(between(before, grown, []), FileEvents::WRITE | FileEvents::EXTEND, "also if notices were lost");
    assert_eq!(between(before, Stamp { size: 99, ..written }, []), FileEvents::WRITE);
    let linked = Stamp { links: 2, changed: later, ..before };
    assert_eq!(between(before, linked, [Told::ATTRIB]), FileEvents::LINK);
    let attributes = Stamp { mode: 0o100_600, changed: later, ..before };
    assert_eq!(between(before, attributes, [Told::ATTRIB]), FileEvents::ATTRIB);
    assert_eq!(between(before, attributes, []), FileEvents::ATTRIB);
    assert_eq!(between(before, Stamp { changed: later, ..before }, []), FileEvents::ATTRIB, "an extended one");
    let touched = Stamp { changed: later, ..before };
    assert_eq!(before.difference(&touched, Heard::default()), FileEvents::NONE, "a notice will tell what it was");
    assert_eq!(between(before, Stamp { written: later, changed: later, ..before }, [Told::ATTRIB]), FileEvents::ATTRIB);
}

#[test]
fn a_file_that_is_being_replaced_is_found_without_a_name_and_that_is_no_link() {
    let going = Stamp { links: 0, changed: (11, 0), ..file() };
    assert_eq!(between(file(), going, [Told::ATTRIB]) & FileEvents::LINK, FileEvents::NONE);
    assert_eq!(between(going, file(), [Told::ATTRIB]) & FileEvents::LINK, FileEvents::NONE);
    assert_eq!(file().difference(&going, Heard::default()), FileEvents::LINK, "an open file has lost its name");
}

#[test]
fn a_directory_whose_entries_are_watched_is_not_written() {
    let later = Stamp { size: 200, links: 3, written: (11, 0), changed: (11, 0), ..directory() };
    assert_eq!(between(directory(), later, []), FileEvents::NONE);
    assert_eq!(difference(Some(&directory()), Some(&later), heard([]), false), {
        FileEvents::WRITE | FileEvents::EXTEND | FileEvents::LINK
    });
    assert_eq!(between(directory(), Stamp { mode: 0o040_700, ..later }, []), FileEvents::ATTRIB);
}

#[test]
fn what_comes_and_goes_is_seen_whatever_was_heard() {
    let (created, deleted) = (FileEvents::CREATE | FileEvents::WRITE, FileEvents::DELETE);
    let other = Stamp { inode: 3, ..file() };
    for told in [&[][..], &[Told::CREATE], &[Told::DELETE], &ALL_TOLD] {
        let told = heard(told.iter().copied());
        assert!(difference(None, Some(&file()), told, true).contains(created));
        assert_eq!(difference(None, Some(&directory()), told, true) & created, FileEvents::CREATE);
        assert!(difference(Some(&file()), None, told, true).contains(deleted));
        assert!(difference(Some(&file()), Some(&other), told, true).contains(created | deleted));
        assert!(difference(Some(&file()), Some(&directory()), told, true).contains(FileEvents::CREATE | deleted));
    }
    assert_eq!(between(file(), file(), [Told::DELETE, Told::CREATE]), created | deleted, "the number is the old one's");
}

#[test]
fn a_rename_is_told_once_for_each_notice_however_late_it_comes() {
    for told in [Told::MOVED_FROM, Told::MOVED_TO] {
        for (before, now) in [(None, None), (Some(file()), None), (None, Some(file())), (Some(file()), Some(file()))] {
            let events = difference(before.as_ref(), now.as_ref(), heard([told]), true);
            assert!(events.contains(FileEvents::RENAME), "{before:?} {now:?} {told:?}: {events:?}");
        }
    }
    assert_eq!(difference(None, None, heard([Told::DELETE]), true), FileEvents::NONE, "its end was seen already");
    assert_eq!(difference(None, None, heard([Told::CREATE]), true), FileEvents::CREATE | FileEvents::DELETE);
}

#[test]
fn notices_that_are_changes_are_counted() {
    assert_eq!(heard([Told::CREATE, Told::MODIFY, Told::MODIFY, Told::CLOSE_WRITE]).count(), 3);
    let mut both = heard([Told::MODIFY]);
    both.merge(heard([Told::ATTRIB]));
    assert_eq!((both.count(), both.has(Told::ATTRIB), both.has(Told::CREATE)), (2, true, false));
}
