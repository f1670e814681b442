"""What goes to AWS, and how: the SAM template, the build of the artifact, the smoke test of a deployment."""
