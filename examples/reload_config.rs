//! Reloads a configuration whenever it is saved, whoever saves it and however, and keeps the last good one.
//!
//! The path is watched, not the file: editors replace it, deployments swap a link above it. A save that changes nothing
//! is no reason to reload, and a file that is being written is left alone until it has settled.

use concourse::Queue;
use concourse::Source;
use concourse::source::FileEvents;
use std::env;
use std::error::Error;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
struct Config {
    threads: usize,
}

fn load(path: &Path) -> Result<Config, Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let value = text.trim().strip_prefix("threads = ").ok_or("no threads")?;
    Ok(Config { threads: value.parse()? })
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::temp_dir().join(format!("reload-config-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let path = folder.join("config.toml");
    fs::write(&path, "threads = 1")?;

    let (queue, (reloaded, configs)) = (Queue::serial("config"), mpsc::channel());
    let mut current = load(&path)?;
    let source = Source::file(&queue, &path, FileEvents::WRITE)
        .settle(Duration::from_millis(20))
        .compare_contents()
        .on_event({
            let path = path.clone();
            move |_| match load(&path) {
                Ok(config) => {
                    println!("{current:?} becomes {config:?}");
                    current = config;
                    // Nobody needs it any more if main has left.
                    let _ = reloaded.send(current.clone());
                }
                Err(error) => println!("{current:?} stays: {error}"),
            }
        })
        .activate()?;
    let expect = |threads| {
        let config = configs.recv_timeout(Duration::from_secs(60))?;
        assert_eq!(config, Config { threads });
        Ok::<_, Box<dyn Error>>(())
    };

    // In place.
    fs::write(&path, "threads = 2")?;
    expect(2)?;
    // As most editors save: another file takes its place.
    fs::write(folder.join("config.toml~"), "threads = 3")?;
    fs::rename(folder.join("config.toml~"), &path)?;
    expect(3)?;
    // The same again, and something broken: nothing to expect.
    fs::write(folder.join("config.toml~"), "threads = 3")?;
    fs::rename(folder.join("config.toml~"), &path)?;
    fs::write(&path, "threads = many")?;
    // As Kubernetes publishes a ConfigMap: a link through a link, which is swapped.
    for version in 4..=5 {
        let versioned = folder.join(format!("..version-{version}"));
        fs::create_dir(&versioned)?;
        fs::write(versioned.join("config.toml"), format!("threads = {version}"))?;
        symlink(&versioned, folder.join("..data.new"))?;
        fs::rename(folder.join("..data.new"), folder.join("..data"))?;
        if version == 4 {
            symlink("..data/config.toml", folder.join("config.toml~"))?;
            fs::rename(folder.join("config.toml~"), &path)?;
        }
        expect(version)?;
    }
    drop(source);
    fs::remove_dir_all(folder)?;
    Ok(())
}
