//! The roof: the only crate that knows both the devices and the service.
//!
//! What is here also runs on the host; booting, the CPU, memory and the panic
//! path are modules of the image's binary alone.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod alarm;
pub mod boot_info;
pub mod budget;
pub mod config;
pub mod logger;
pub mod machine;
mod rotation;
pub mod run;

mod certificate;
mod discover;
mod disk;
mod entropy;
mod ether;
pub mod flight;
mod http;
mod lifecycle;
mod operator;
mod pages;
mod publish;
mod report;
mod shutdown;
mod standing;
mod startup;
mod status;
mod suspend;
mod syslog;
mod token;
mod toolstack;
mod watchdog;
