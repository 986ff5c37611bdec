"""From sifted bits to secret keys, one module a stage; pure: bytes and arrays in, bytes and arrays out.

`messages` is what two parties say to each other; `cascade` reconciles, `verification` decides whether the keys are equal,
`toeplitz` shortens them.  No function sees both keys.
"""
