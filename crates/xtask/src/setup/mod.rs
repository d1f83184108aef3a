//! What the verbs need from the machine: used when it is there, installed when it is not.
//!
//! Each part looks first and costs a few milliseconds when nothing is missing. What is installed
//! goes under `target/tools`, except Debian packages.

pub(crate) mod apt;
pub(crate) mod browser;
pub(crate) mod cargo_tools;
pub(crate) mod debian;
pub(crate) mod node;
pub(crate) mod web_toolchain;

pub(crate) use browser::Browser;
pub(crate) use debian::Debian;
pub(crate) use node::Node;
pub(crate) use web_toolchain::WebToolchain;
