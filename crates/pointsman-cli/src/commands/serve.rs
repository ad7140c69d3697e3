pub(crate) fn run(_: &crate::args::Serve) -> anyhow::Result<()> {
    Ok(())
}
