"""What a gateway does, whatever it speaks and whatever it runs on."""
