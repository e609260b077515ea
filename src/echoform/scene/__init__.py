"""What is imaged and from where: grids, collections, scatterers and textures."""
