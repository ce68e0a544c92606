"""`make soak`."""

from load.soak.soak import main

main()
