"""What X is: images in every form, and batches of them."""
