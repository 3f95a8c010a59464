//! How editors save: the system calls of each, by hand, and the editors that are installed.

use crate::Folder;
use crate::Record;
use crate::finish;
use crate::runtime;
use concourse::Source;
use concourse::source::FileEvents;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

/// Saves many times, and waits until each save is told: as a write of the file, and of the tree that it is in.
fn each_save_is_told(save: impl Fn(&Path, &str)) {
    let (folder, runtime, [of_file, of_tree]) = (Folder::new(), runtime(), [Record::default(), Record::default()]);
    let (path, queue) = (folder.join("file.txt"), runtime.serial("main"));
    fs::write(&path, "content 0\n").unwrap();
    let sources = [
        of_file.start(Source::file(&queue, &path, FileEvents::WRITE)),
        of_tree.start(Source::file(&queue, &folder.path, FileEvents::WRITE).recursive()),
    ];
    for round in 1..10 {
        let content = format!("content {round}\n");
        save(&path, &content);
        assert_eq!(fs::read_to_string(&path).unwrap(), content, "the editor has saved");
        for record in [&of_file, &of_tree] {
            record.wait(|all| all.get(&path).is_some_and(|events| events.contains(FileEvents::WRITE)));
        }
    }
    drop(sources);
    finish(&runtime);
}

fn beside(path: &Path, name: &str) -> std::path::PathBuf {
    path.with_file_name(name)
}

#[test]
fn saving_in_place_as_nano_and_vs_code_do() {
    each_save_is_told(|path, content| {
        let mut file = OpenOptions::new().write(true).truncate(true).open(path).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file.sync_all().unwrap();
    });
}

#[test]
fn writing_beside_and_renaming_over_as_kate_and_rsync_do() {
    each_save_is_told(|path, content| {
        let temporary = beside(path, ".file.txt.Xa81bf");
        let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file.sync_all().unwrap();
        file.set_permissions(fs::metadata(path).unwrap().permissions()).unwrap();
        fs::rename(&temporary, path).unwrap();
        File::open(path.parent().unwrap()).unwrap().sync_all().unwrap();
    });
}

#[test]
fn renaming_to_a_backup_and_writing_anew_as_vim_does() {
    each_save_is_told(|path, content| {
        // It asks by a file with a strange name whether it may write here, keeps a swap file, and drops the backup.
        let (probe, swap, backup) = (beside(path, "4913"), beside(path, ".file.txt.swp"), beside(path, "file.txt~"));
        File::create(&swap).unwrap();
        File::create(&probe).unwrap();
        fs::remove_file(&probe).unwrap();
        fs::rename(path, &backup).unwrap();
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::metadata(&backup).unwrap().permissions()).unwrap();
        fs::remove_file(&backup).unwrap();
        fs::remove_file(&swap).unwrap();
    });
}

#[test]
fn keeping_the_backup_and_a_lock_that_links_nowhere_as_emacs_does() {
    each_save_is_told(|path, content| {
        let (lock, backup) = (beside(path, ".#file.txt"), beside(path, "file.txt~"));
        std::os::unix::fs::symlink("somebody@somewhere.1234:5678", &lock).unwrap();
        fs::rename(path, &backup).unwrap();
        let mut file = OpenOptions::new().write(true).create_new(true).open(path).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file.sync_all().unwrap();
        fs::remove_file(&lock).unwrap();
    });
}

#[test]
fn exchanging_by_a_link_and_an_unlink() {
    each_save_is_told(|path, content| {
        let (new, old) = (beside(path, "new"), beside(path, "old"));
        fs::write(&new, content).unwrap();
        fs::hard_link(path, &old).unwrap();
        fs::remove_file(path).unwrap();
        fs::hard_link(&new, path).unwrap();
        fs::remove_file(&new).unwrap();
        fs::remove_file(&old).unwrap();
    });
}

/// Saves with a program, if it is installed: what it does is done by hand above, too.
fn each_save_of(program: &str, arguments: impl Fn(&str) -> Vec<String>) {
    if Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("{program} is not installed");
        return;
    }
    each_save_is_told(|path, content| {
        let mut command = Command::new(program);
        command.args(arguments(content.trim_end())).arg(path).stdin(Stdio::null());
        let output = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(output.success(), "{program}: {output}");
    });
}

#[test]
fn sed_itself() {
    each_save_of("sed", |content| vec!["-i".into(), format!("s/.*/{content}/")]);
}

#[test]
fn vim_itself_with_each_kind_of_backup() {
    for kind in ["no", "yes", "auto"] {
        each_save_of("vim", |content| {
            let set = format!("set backupcopy={kind} writebackup");
            let replace = format!("%s/.*/{content}/");
            ["-u", "NONE", "-N", "-es", "-c", &set, "-c", &replace, "-c", "wq"].map(str::to_owned).into()
        });
    }
}
