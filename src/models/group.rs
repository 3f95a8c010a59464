//! Nobody who registers is forgotten, and nobody is told early. Planted faults: `group_registers_blindly`,
//! `group_takes_the_line_later`.

use super::JoinHandle;
use super::Plain;
use super::explore;
use super::passed;
use super::spawn;
use crate::Group;
use crate::Membership;
use crate::engine::Engine;
use crate::qos::Qos;
use crate::queue::GlobalQueue;
use crate::sync::Arc;

#[test]
fn the_last_leave_ends_every_wait() {
    explore(3, || {
        let (group, data) = (Group::new(), Arc::new(Plain::new()));
        let member = group.enter();
        let leaver = spawn({
            let data = Arc::clone(&data);
            move || {
                data.add();
                drop(member);
            }
        });
        let waiter = spawn({
            let (group, data) = (group.clone(), Arc::clone(&data));
            move || {
                group.wait();
                assert_eq!(data.get(), 1);
            }
        });
        group.wait();
        assert_eq!(data.get(), 1);
        leaver.join().unwrap();
        waiter.join().unwrap();
        assert_eq!((group.count(), group.registered()), (0, 0));
    });
}

#[test]
fn a_wait_sees_what_all_members_did() {
    explore(3, || {
        let group = Group::new();
        let data = [Arc::new(Plain::new()), Arc::new(Plain::new())];
        let leavers = data.each_ref().map(|data| {
            let (member, data) = (group.enter(), Arc::clone(data));
            spawn(move || {
                data.add();
                drop(member);
            })
        });
        group.wait();
        assert_eq!([data[0].get(), data[1].get()], [1, 1]);
        leavers.into_iter().for_each(|leaver| leaver.join().unwrap());
    });
}

/// Two rounds of a group: the first one's member leaves on a thread of its own, while this thread registers for its end,
/// enters for the second and registers for the end of that.
fn two_rounds(finish: impl Fn(JoinHandle<()>, Membership, &dyn Fn() -> [u32; 2])) {
    let (group, queue) = (Group::new(), GlobalQueue::on(Engine::in_place(), Qos::Default));
    let notified = [Arc::new(Plain::new()), Arc::new(Plain::new())];
    let notify = |of: usize| {
        let notified = Arc::clone(&notified[of]);
        group.notify(&queue, move || notified.add());
    };
    group.enter_raw();
    let leaver = spawn({
        let group = group.clone();
        move || group.leave_raw().unwrap()
    });
    notify(0);
    let member = group.enter();
    notify(1);
    let counts = || [notified[0].get(), notified[1].get()];
    finish(leaver, member, &counts);
    assert_eq!(counts(), [1, 1]);
    assert_eq!((group.count(), group.registered()), (0, 0));
}

#[test]
fn a_notification_comes_once_whoever_leaves_last() {
    explore(3, || {
        two_rounds(|leaver, member, _| {
            drop(member);
            leaver.join().unwrap();
        });
    });
}

#[test]
fn a_notification_waits_for_those_who_entered_before_it() {
    explore(3, || {
        two_rounds(|leaver, member, counts| {
            leaver.join().unwrap();
            assert_eq!(counts()[1], 0);
            drop(member);
        });
    });
}

#[test]
fn a_timeout_against_the_last_leave_forgets_nobody() {
    explore(3, || {
        let (group, data) = (Group::new(), Arc::new(Plain::new()));
        let member = group.enter();
        let timed = spawn({
            let (group, data) = (group.clone(), Arc::clone(&data));
            move || {
                if group.wait_within(Some(passed())) {
                    assert_eq!(data.get(), 1);
                }
            }
        });
        let leaver = spawn({
            let data = Arc::clone(&data);
            move || {
                data.add();
                drop(member);
            }
        });
        group.wait();
        timed.join().unwrap();
        leaver.join().unwrap();
        assert_eq!((group.count(), group.registered()), (0, 0));
    });
}

#[test]
fn a_leave_too_many_is_refused_however_it_comes() {
    explore(3, || {
        let group = Group::new();
        group.enter_raw();
        let leave = || {
            let group = group.clone();
            spawn(move || group.leave_raw().is_ok())
        };
        let leavers = [leave(), leave()];
        group.wait();
        let left = leavers.map(|leaver| leaver.join().unwrap());
        assert_ne!(left[0], left[1]);
        assert_eq!(group.count(), 0);
    });
}
